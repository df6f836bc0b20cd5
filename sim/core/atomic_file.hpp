// SPDX-License-Identifier: Apache-2.0
// Files that appear whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace moesim {

/// Writes `content` beside `path`, syncs it, and renames it over `path`: a reader sees the old file
/// or the new one, never a part. Creates missing parent folders.
/// Throws EnvironmentError naming the call that failed; then no temporary file is left behind.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// The whole file. Throws EnvironmentError "cannot read PATH: reason".
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

}  // namespace moesim
