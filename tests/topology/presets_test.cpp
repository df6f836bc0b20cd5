// SPDX-License-Identifier: Apache-2.0
// The cluster presets as files: present, and no number without its source. Their values are parsed
// where scenarios are read.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

namespace moesim {
namespace {

struct Preset {
  const char* name;
  int quantities;  ///< keys but the two names, the kinds and scale_up.kind
};

class ClusterPreset : public testing::TestWithParam<Preset> {
 protected:
  [[nodiscard]] static std::filesystem::path folder() {
    return std::filesystem::path(MOESIM_SOURCE_DIR) / "scenarios" / "clusters";
  }
  [[nodiscard]] static std::filesystem::path file() {
    return folder() / (std::string(GetParam().name) + ".toml");
  }
};

/// True for `key = <a number, bare or in quotes>`.
bool is_quantity(const std::string& line) {
  const std::size_t equals = line.find('=');
  if (line.starts_with('#') || line.starts_with("name") || equals == std::string::npos) {
    return false;
  }
  return line.find_first_of("0123456789", equals) != std::string::npos;
}

TEST_P(ClusterPreset, GivesASourceRightAboveEveryQuantity) {
  std::ifstream in(file());
  ASSERT_TRUE(in) << file();
  int quantities = 0;
  std::string above;
  for (std::string line; std::getline(in, line); above = line) {
    if (is_quantity(line)) {
      ++quantities;
      EXPECT_TRUE(above.starts_with("# ")) << line << " lacks a source";
    }
  }
  EXPECT_EQ(quantities, GetParam().quantities);
}

TEST_P(ClusterPreset, IsNamedLikeItsFile) {
  std::ifstream in(file());
  ASSERT_TRUE(in) << file();
  std::string line;
  while (std::getline(in, line) && !line.starts_with("name")) {
  }
  EXPECT_EQ(line, "name = \"" + std::string(GetParam().name) + "\"");
}

constexpr Preset kPresets[] = {{"h100-hgx", 18},
                               {"h200-hgx", 18},
                               {"h800-hgx", 18},
                               {"b200-hgx", 18},
                               {"b200-hgx-800g", 18},
                               {"gb200-nvl72", 18},
                               {"h100-hgx-3-tier", 21},
                               {"h100-dual-plane", 19},
                               {"h100-mixed-nics", 19},
                               {"h800-multi-plane", 18},
                               {"a100-pcie", 20},
                               {"a100-dragonfly-plus", 20},
                               {"tpu-v4-torus", 16}};

INSTANTIATE_TEST_SUITE_P(Clusters,
                         ClusterPreset,
                         testing::ValuesIn(kPresets),
                         [](const auto& tested) {
                           std::string name = tested.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(ClusterPresets, AreAllListedHere) {
  const auto folder = std::filesystem::path(MOESIM_SOURCE_DIR) / "scenarios" / "clusters";
  std::set<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    files.insert(entry.path().stem().string());
  }
  std::set<std::string> listed;
  for (const Preset& preset : kPresets) {
    listed.insert(preset.name);
  }
  EXPECT_EQ(files, listed);
}

}  // namespace
}  // namespace moesim
