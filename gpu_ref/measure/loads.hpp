// SPDX-License-Identifier: Apache-2.0
// How many rows each expert gets: the skews of a sweep.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace moesim::measure {

/// Loads of every expert, by layer: any non-negative numbers.
using TraceLoads = std::vector<std::vector<std::int64_t>>;

/// Whole counts in proportion to `shares` that sum to `rows`, by largest remainder, the lower index
/// first among equals. Shares are >= 0 with a positive sum.
[[nodiscard]] std::vector<std::int64_t> apportion(std::span<const double> shares,
                                                  std::int64_t rows);

/// rows / experts each, the rest one each to the first.
[[nodiscard]] std::vector<std::int64_t> uniform_counts(std::int64_t experts, std::int64_t rows);

/// Shares exp(sigma z), z independent standard normal (Box and Muller 1958), drawn from `seed`.
[[nodiscard]] std::vector<std::int64_t> lognormal_counts(std::int64_t experts,
                                                         std::int64_t rows,
                                                         double sigma,
                                                         std::uint64_t seed);

/// All rows at expert 0.
[[nodiscard]] std::vector<std::int64_t> one_hot_counts(std::int64_t experts, std::int64_t rows);

/// The first `experts` loads of a layer, scaled to `rows`. Empty if the layer has fewer experts or
/// all those loads are 0.
[[nodiscard]] std::vector<std::int64_t> trace_counts(std::span<const std::int64_t> layer,
                                                     std::int64_t experts,
                                                     std::int64_t rows);

/// Counts by name: "uniform", "lognormal0.5", "lognormal1", "lognormal1.5", "one_hot", "trace-L".
/// Empty where trace_counts is. Throws std::invalid_argument for another name.
[[nodiscard]] std::vector<std::int64_t> counts_of_skew(std::string_view skew,
                                                       std::int64_t experts,
                                                       std::int64_t rows,
                                                       const TraceLoads& trace);

/// The counts with none above `most`: what is beyond goes to the emptiest experts in turn. Sum <=
/// most * experts. For whole layers, where an expert serves a token once.
[[nodiscard]] std::vector<std::int64_t> capped(std::vector<std::int64_t> counts, std::int64_t most);

/// A routing with these counts: experts [tokens * top_k], distinct within a token, tokens shuffled
/// by `seed`. The counts sum to tokens * top_k and none is above tokens.
[[nodiscard]] std::vector<std::int32_t> routing_of_counts(const std::vector<std::int64_t>& counts,
                                                          std::int64_t tokens,
                                                          std::int64_t top_k,
                                                          std::uint64_t seed);

/// Row of each assignment when rows are ordered by expert, then token.
[[nodiscard]] std::vector<std::int32_t> expert_major_rows(const std::vector<std::int32_t>& experts,
                                                          std::int64_t num_experts);

/// Loads of our own unbalanced model.
[[nodiscard]] TraceLoads built_in_trace();

/// Reads the expert_load.csv that `moesim trace info --out` writes (layer,expert,assignments).
/// Throws KitMistake "FILE:LINE: ..." for any other text.
[[nodiscard]] TraceLoads read_trace_loads(const std::string& file);

}  // namespace moesim::measure
