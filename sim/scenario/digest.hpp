// SPDX-License-Identifier: Apache-2.0
// SHA-256 of inputs, so that a report says exactly what it was made from.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "sim/core/pace.hpp"

namespace moesim {

/// 64 lower-case hex digits. Of a file: its bytes. Of a folder: for each regular file directly in
/// it, by name, the line "<sha256>  <name>\n", as sha256sum writes it.
/// Throws EnvironmentError "cannot read PATH: reason".
[[nodiscard]] std::string sha256_hex(const std::filesystem::path& path, const Pace& pace = {});

/// The same of a text.
[[nodiscard]] std::string sha256_hex_of_text(std::string_view text);

}  // namespace moesim
