// SPDX-License-Identifier: Apache-2.0
// The cluster presets as files: present, and no number without its source. Their values are parsed
// where scenarios are read.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace moesim {
namespace {

class ClusterPreset : public testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] static std::filesystem::path file() {
    return std::filesystem::path(MOESIM_SOURCE_DIR) / "scenarios" / "clusters" /
           (std::string(GetParam()) + ".toml");
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
  EXPECT_EQ(quantities, 18);  // every key of a preset but the two names and fabric.kind
}

TEST_P(ClusterPreset, IsNamedLikeItsFile) {
  std::ifstream in(file());
  ASSERT_TRUE(in) << file();
  std::string line;
  while (std::getline(in, line) && !line.starts_with("name")) {
  }
  EXPECT_EQ(line, "name = \"" + std::string(GetParam()) + "\"");
}

INSTANTIATE_TEST_SUITE_P(Clusters,
                         ClusterPreset,
                         testing::Values("h100-hgx",
                                         "h200-hgx",
                                         "h800-hgx",
                                         "b200-hgx",
                                         "b200-hgx-800g",
                                         "gb200-nvl72"));

}  // namespace
}  // namespace moesim
