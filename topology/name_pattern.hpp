// SPDX-License-Identifier: Apache-2.0
// Names of vertices and links as patterns, and "pattern: value" rules, as scenario lists hold them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moesim {

/// True when `name` fits the pattern: `*` is any text, also none; `[3-7]` a number from 3 to 7;
/// every other character stands for itself.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name);

/// "node0/nic1: 0.5" -> {"node0/nic1", "0.5"}.
struct NameRule {
  std::string pattern;
  std::string value;
};
/// Split at the last colon; none when there is no colon or a side is empty.
[[nodiscard]] std::optional<NameRule> parse_rule(std::string_view text);

}  // namespace moesim
