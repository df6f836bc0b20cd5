// SPDX-License-Identifier: Apache-2.0
// A folder with a small route pack and a scenario of 2 nodes x 2 GPUs, and the program in it.
#pragma once

#include <gtest/gtest.h>
#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tests/cli/program.hpp"

namespace moesim::cli_tests {

class Scene : public testing::Test {
 protected:
  /// Makes `scenario.toml`, the route pack `pack` and an empty `data` folder of presets.
  Scene();
  ~Scene() override;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  /// Runs the program in the folder.
  [[nodiscard]] Outcome moesim(const std::vector<std::string>& arguments) const;
  /// Standard output as JSON; a failure if the program fails or prints anything else.
  [[nodiscard]] nlohmann::json json_of(const std::vector<std::string>& arguments) const;

  void write(std::string_view name, std::string_view text) const;
  [[nodiscard]] std::string read(std::string_view name) const;
  /// The scenario with one passage replaced by another; the passage must be there.
  void edit_scenario(std::string_view passage, std::string_view instead) const;
  /// Names of the folder's entries, hidden ones as well but for the program's captured output.
  [[nodiscard]] std::vector<std::string> entries() const;

 private:
  std::filesystem::path folder_;
};

/// The lines of a text that are wider than a terminal.
[[nodiscard]] std::string lines_over_80(std::string_view text);

/// The [cluster] of 2 nodes x 2 GPUs, the [calibration] and the tables after them.
[[nodiscard]] std::string cluster_and_calibration();

/// The header, magic included, and the data of a .npy file of version 1.
[[nodiscard]] std::string npy(std::string_view descr,
                              std::string_view fortran_order,
                              std::string_view shape,
                              std::string_view data);

}  // namespace moesim::cli_tests
