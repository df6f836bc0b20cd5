// SPDX-License-Identifier: Apache-2.0
// Every mistake that a scenario can hold: errors/NAME.toml, read with the overrides of NAME.set
// where there is one, gives the text of NAME.stderr. Presets come from data/.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim {
namespace {
namespace fs = std::filesystem;

fs::path golden_folder() {
  return fs::path(MOESIM_SOURCE_DIR) / "tests/scenario/errors";
}

std::vector<std::string> stems(std::string_view ending) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(golden_folder())) {
    if (entry.path().extension() == ending) {
      names.push_back(entry.path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  EXPECT_TRUE(stream.is_open()) << file;
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<Override> overrides_of(const fs::path& file) {
  std::vector<Override> overrides;
  if (fs::exists(file)) {
    std::istringstream lines(text_of(file));
    for (std::string line; std::getline(lines, line);) {
      overrides.push_back(line);
    }
  }
  return overrides;
}

/// File names are shown as given, so each case is read from inside its folder.
class ErrorGolden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    before_ = fs::current_path();
    fs::current_path(golden_folder());
    ::setenv("MOESIM_DATA", "../data", 1);
  }
  void TearDown() override {
    ::unsetenv("MOESIM_DATA");
    fs::current_path(before_);
  }

 private:
  fs::path before_;
};

TEST_P(ErrorGolden, IsShownWordForWord) {
  const std::string& name = GetParam();
  std::string shown = "no mistake";
  try {
    (void)load_scenario(name + ".toml", overrides_of(name + ".set"));
  } catch (const UserError& error) {
    shown = error.what();
  }
  EXPECT_EQ(shown + "\n", text_of(name + ".stderr"));
}

INSTANTIATE_TEST_SUITE_P(Scenario,
                         ErrorGolden,
                         testing::ValuesIn(stems(".toml")),
                         [](const auto& param) { return param.param; });

TEST(ErrorGoldens, EveryTextBelongsToAScenario) {
  EXPECT_FALSE(stems(".toml").empty());
  EXPECT_EQ(stems(".toml"), stems(".stderr"));
  for (const std::string& name : stems(".set")) {
    EXPECT_TRUE(fs::exists(golden_folder() / (name + ".toml"))) << name;
  }
}

}  // namespace
}  // namespace moesim
