// SPDX-License-Identifier: Apache-2.0
// The rules that every source file of the project obeys, checked on its text alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moesim::rules {

/// The file's breaches, as "PATH:LINE: sentence"; empty if there are none.
/// @param path seen from the root of the repository, with forward slashes
[[nodiscard]] std::vector<std::string> breaches(std::string_view path, std::string_view text);

/// The text with comments, string and character literals blanked; newlines stay.
[[nodiscard]] std::string code_only(std::string_view text);

}  // namespace moesim::rules
