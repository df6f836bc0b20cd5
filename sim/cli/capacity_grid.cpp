// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/capacity_grid.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>

#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"

namespace moesim::cli {
namespace {

constexpr std::size_t kMostFactors = 1000;
constexpr double kLargestFactor = 1e6;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text + separator);
  for (std::string part; std::getline(stream, part, separator);) {
    parts.push_back(part);
  }
  return parts;
}

[[noreturn]] void refuse_factors(const std::string& text, std::string_view found) {
  throw UserError(
      fmt::format("--factors {}: {}; expected factors above 0 such as 1,1.25,1.5 or "
                  "first:last:step such as 1:2:0.25",
                  quoted_text(text),
                  found));
}

double factor_in(const std::string& text, const std::string& part) {
  double value = 0.0;
  const char* end = part.data() + part.size();
  const auto [stop, error] = std::from_chars(part.data(), end, value);
  if (error != std::errc() || stop != end || !(value > 0.0) || value > kLargestFactor) {
    refuse_factors(text, fmt::format("found {}", quoted_text(part)));
  }
  return value;
}

/// first, first + step, ... up to last, without the rounding that adding leaves.
std::vector<double> range(const std::string& text, const std::vector<std::string>& parts) {
  const double first = factor_in(text, parts[0]);
  const double last = factor_in(text, parts[1]);
  const double step = factor_in(text, parts[2]);
  const double count = std::floor((last - first) / step + 1e-9);
  if (count < 0.0) {
    refuse_factors(text, "the first is above the last");
  }
  if (count >= static_cast<double>(kMostFactors)) {
    refuse_factors(text, fmt::format("more than {} factors", kMostFactors));
  }
  std::vector<double> factors;
  for (int i = 0; i <= static_cast<int>(count); ++i) {
    factors.push_back(std::round((first + i * step) * 1e9) / 1e9);
  }
  return factors;
}

/// Positions of the comma-separated words among `known`.
std::vector<int> indices(const char* option,
                         const std::string& text,
                         std::span<const std::string_view> known) {
  std::vector<int> found;
  for (const std::string& word : split(text, ',')) {
    const auto at = std::find(known.begin(), known.end(), word);
    if (at == known.end()) {
      throw UserError(fmt::format("{} {}: found {}; expected {}, or several with commas",
                                  option,
                                  quoted_text(text),
                                  quoted_text(word),
                                  word_list(known)));
    }
    const auto index = static_cast<int>(at - known.begin());
    if (std::find(found.begin(), found.end(), index) == found.end()) {
      found.push_back(index);
    }
  }
  return found;
}

}  // namespace

std::vector<double> parse_factors(const std::string& text) {
  const std::vector<std::string> ends = split(text, ':');
  std::vector<double> factors;
  if (ends.size() == 3) {
    factors = range(text, ends);
  } else {
    for (const std::string& part : split(text, ',')) {
      factors.push_back(factor_in(text, part));
    }
  }
  std::sort(factors.begin(), factors.end());
  factors.erase(std::unique(factors.begin(), factors.end()), factors.end());
  return factors;
}

CapacityGrid make_grid(const GridOptions& options, const Scenario& scenario) {
  CapacityGrid grid;
  grid.factors = parse_factors(options.factors);
  for (const int p : indices("--policies", options.policies, overflow_policy_words().subspan(1))) {
    grid.policies.push_back(static_cast<OverflowPolicy>(p + 1));  // "none" is in every sweep
  }
  for (const int s : indices("--scopes", options.scopes, capacity_scope_words())) {
    grid.scopes.push_back(static_cast<CapacityScope>(s));
  }
  const auto has = [](const auto& list, auto value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  };
  if (has(grid.scopes, CapacityScope::kMicroBatch) && scenario.capacity.micro_batches < 2) {
    throw UserError("--scopes micro_batch: needs capacity.micro_batches of 2 or more");
  }
  if (has(grid.policies, OverflowPolicy::kPad) && !sends_padded_shapes(scenario.dispatch.kind)) {
    throw UserError(
        "--policies pad: this dispatcher sends no padded shapes; set dispatch.dispatcher to "
        "pairwise, low_latency, one_sided or two_sided");
  }
  if (curves_of(grid).empty()) {
    throw UserError("--policies pad: needs --scopes rank or micro_batch");
  }
  return grid;
}

std::vector<std::string> grid_notes(const CapacityGrid& grid) {
  const std::size_t named = grid.policies.size() * grid.scopes.size();
  if (curves_of(grid).size() == named) {
    return {};
  }
  return {"pad has no shapes in scopes that pool the ranks (group, global): left out"};
}

}  // namespace moesim::cli
