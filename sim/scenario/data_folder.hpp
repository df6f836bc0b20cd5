// SPDX-License-Identifier: Apache-2.0
// Where presets and shipped traces lie, and what a name or a path of a scenario file means.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace moesim {

/// The folder that holds models/, clusters/, calibration/ and traces/: $MOESIM_DATA when set, else
/// share/moesim/scenarios of the prefix that the program (or the Python module) is installed under,
/// else the source tree's scenarios/.
/// Throws EnvironmentError when $MOESIM_DATA is no folder.
[[nodiscard]] std::filesystem::path data_folder();

/// True for "x.toml" and "a/b": a path, not a name of the data folder.
[[nodiscard]] bool is_path(std::string_view text);

/// `text` as a path seen from the file that states it.
[[nodiscard]] std::filesystem::path beside(const std::filesystem::path& stating_file,
                                           std::string_view text);

/// Names of the *.toml files of a folder, without the ending, sorted; empty if it is no folder.
[[nodiscard]] std::vector<std::string> preset_names(const std::filesystem::path& folder);

/// Names of the folders in a folder, sorted; empty if it is no folder.
[[nodiscard]] std::vector<std::string> folder_names(const std::filesystem::path& folder);

}  // namespace moesim
