// SPDX-License-Identifier: Apache-2.0
// How the processes of a group find each other: through a file that the first one writes where all
// of them can read it.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace moesim::measure {

/// Puts `text` into `file` whole or not at all. Throws std::runtime_error.
void publish(const std::string& file, std::string_view text);

/// Waits until `file` holds `size` bytes and returns them. Throws std::runtime_error after
/// `patience`.
[[nodiscard]] std::string await(const std::string& file,
                                std::size_t size,
                                std::chrono::milliseconds patience);

}  // namespace moesim::measure
