// SPDX-License-Identifier: Apache-2.0
#include "topology/name_pattern.hpp"

#include <charconv>
#include <cstdint>

#include "sim/core/text.hpp"

namespace moesim {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && is_digit(text.front()) ? std::optional(value) : std::nullopt;
}

/// "[3-7]" at the start of a pattern.
struct NumberRange {
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::size_t length = 0;  ///< characters of the pattern
};

std::optional<NumberRange> range_at_start(std::string_view pattern) {
  const std::size_t end = pattern.find(']');
  const std::size_t dash = pattern.find('-');
  if (!pattern.starts_with('[') || end == std::string_view::npos || dash > end || dash < 2 ||
      dash + 1 == end) {
    return std::nullopt;
  }
  const auto low = number_in(pattern.substr(1, dash - 1));
  const auto high = number_in(pattern.substr(dash + 1, end - dash - 1));
  return low && high ? std::optional(NumberRange{*low, *high, end + 1}) : std::nullopt;
}

/// Characters of `name` that the pattern's first element takes, none when it does not fit.
std::optional<std::size_t> fit(std::string_view name, const std::optional<NumberRange>& range) {
  std::size_t digits = 0;
  while (digits < name.size() && is_digit(name[digits])) {
    ++digits;
  }
  const auto number = digits > 0 ? number_in(name.substr(0, digits)) : std::nullopt;
  return number && *number >= range->low && *number <= range->high ? std::optional(digits)
                                                                   : std::nullopt;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view name) {
  // The last star seen and the name behind what it takes: on a mismatch it takes one more.
  std::optional<std::pair<std::string_view, std::string_view>> retry;
  while (!name.empty() || !pattern.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      retry = {pattern, name};
      continue;
    }
    const std::optional<NumberRange> range = range_at_start(pattern);
    const std::optional<std::size_t> taken = range ? fit(name, range) : std::nullopt;
    if (taken) {
      name.remove_prefix(*taken);
      pattern.remove_prefix(range->length);
    } else if (!range && !pattern.empty() && !name.empty() && pattern.front() == name.front()) {
      name.remove_prefix(1);
      pattern.remove_prefix(1);
    } else if (retry && !retry->second.empty()) {
      retry->second.remove_prefix(1);
      pattern = retry->first;
      name = retry->second;
    } else {
      return false;
    }
  }
  return true;
}

std::optional<NameRule> parse_rule(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  NameRule rule{std::string(trimmed(text.substr(0, colon))),
                std::string(trimmed(text.substr(colon + 1)))};
  return rule.pattern.empty() || rule.value.empty() ? std::nullopt : std::optional(std::move(rule));
}

}  // namespace moesim
