// SPDX-License-Identifier: Apache-2.0
// The texts of fault rules; used inside this folder only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moesim {

/// "down" is 0, else a number in (0, 1].
[[nodiscard]] std::optional<double> parse_remaining(std::string_view text);

/// "A -> B" as the patterns of its ends; "A <-> B" goes both ways.
struct LinkPattern {
  std::string source;
  std::string target;
  bool both_ways = false;

  /// @param text holds "->"
  explicit LinkPattern(const std::string& text);
  [[nodiscard]] bool fits(const std::string& from, const std::string& to) const;
};

}  // namespace moesim
