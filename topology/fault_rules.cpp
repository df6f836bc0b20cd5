// SPDX-License-Identifier: Apache-2.0
#include "topology/fault_rules.hpp"

#include <charconv>

#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"
#include "topology/faults.hpp"
#include "topology/name_pattern.hpp"

namespace moesim {
namespace {

/// What the value of a rule of one list must be.
bool value_is_right(std::string_view list, std::string_view value) {
  if (list == "background") {
    const auto rate = parse_bytes_per_second(value);
    return rate && rate->value > 0;
  }
  const std::optional<double> remaining = parse_remaining(value);
  return remaining && (list != "gpus" || *remaining > 0);
}

std::string expected_rule(std::string_view list) {
  if (list == "background") {
    return "expected \"A -> B: RATE\" with a bandwidth above 0";
  }
  if (list == "links") {
    return "expected \"A -> B: STATE\" or \"A <-> B: STATE\", STATE down or a number above 0 up to "
           "1";
  }
  if (list == "gpus") {
    return "expected \"NAME: SPEED\", SPEED a number above 0 up to 1; faults.nodes loses a node";
  }
  return "expected \"NAME: STATE\", STATE down or a number above 0 up to 1";
}

bool is_link_list(std::string_view list) {
  return list == "links" || list == "background";
}

void check_list(std::string_view list,
                const std::vector<std::string>& texts,
                std::vector<FaultMistake>& mistakes) {
  for (const std::string& text : texts) {
    const std::optional<NameRule> rule = parse_rule(text);
    const bool right = rule && value_is_right(list, rule->value) &&
                       (!is_link_list(list) || rule->pattern.find("->") != std::string::npos);
    if (!right) {
      mistakes.push_back(
          {std::string(list), quoted_text(text) + " is no rule; " + expected_rule(list)});
    }
  }
}

}  // namespace

std::optional<double> parse_remaining(std::string_view text) {
  if (text == "down") {
    return 0.0;
  }
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && value > 0 && value <= 1 ? std::optional(value) : std::nullopt;
}

LinkPattern::LinkPattern(const std::string& text) {
  const std::size_t arrow = text.find("->");
  both_ways = arrow > 0 && text[arrow - 1] == '<';
  source = trimmed(std::string_view(text).substr(0, both_ways ? arrow - 1 : arrow));
  target = trimmed(std::string_view(text).substr(arrow + 2));
}

bool LinkPattern::fits(const std::string& from, const std::string& to) const {
  return (matches(source, from) && matches(target, to)) ||
         (both_ways && matches(source, to) && matches(target, from));
}

bool FaultSpec::empty() const {
  return links.empty() && nics.empty() && switches.empty() && gpus.empty() && nodes.empty() &&
         background.empty() && random_links == 0 && random_nics == 0 && random_gpus == 0;
}

std::vector<FaultMistake> check_rules(const FaultSpec& faults) {
  std::vector<FaultMistake> mistakes;
  check_list("links", faults.links, mistakes);
  check_list("nics", faults.nics, mistakes);
  check_list("switches", faults.switches, mistakes);
  check_list("gpus", faults.gpus, mistakes);
  check_list("background", faults.background, mistakes);
  return mistakes;
}

}  // namespace moesim
