// SPDX-License-Identifier: Apache-2.0
// The resolved scenario as a file of a result folder, and the data files that it names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sim/scenario/scenario.hpp"

namespace moesim {

/// resolved_toml for a file in `folder`: paths that start at the working directory start at the
/// folder instead, so that the file can be run from anywhere and the folders can be moved together.
/// Absolute paths and names of shipped data stay. "" is the working directory.
[[nodiscard]] std::string resolved_toml_in(const std::filesystem::path& folder,
                                           const Scenario& scenario);

/// Files and folders that hold what is replayed or placed: they are read when the scenario runs, so
/// that Scenario::inputs does not have them all. A pack is a folder.
[[nodiscard]] std::vector<std::filesystem::path> data_files(const Scenario& scenario);

}  // namespace moesim
