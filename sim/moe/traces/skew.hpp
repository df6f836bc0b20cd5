// SPDX-License-Identifier: Apache-2.0
// How uneven a recorded routing is. Every quantity is defined here; docs/traces.md repeats it in
// words. Over layers unless said otherwise.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

/// Median (of an even number: the mean of the middle two), smallest and largest.
struct Spread {
  double median = 0.0;
  double min = 0.0;
  double max = 0.0;
};

/// Throws std::logic_error without values.
[[nodiscard]] Spread spread_of(std::vector<double> values);

/// Unevenness of one list of loads, E experts:
///   max_over_mean   max(load) / mean(load)
///   variation       population standard deviation of load / mean(load)
///   std_ln          population standard deviation of ln(max(load, 1/2))
///   top_share       sum of the floor(E / 5) largest (at least 1) / sum(load)
///   cold            experts with load < mean(load) / 10
/// Source: definitions. Valid for: loads >= 0, not all zero. Checked by: skew_test.
struct LoadSkew {
  double max_over_mean = 0.0;
  double variation = 0.0;
  double std_ln = 0.0;
  double top_share = 0.0;
  double cold = 0.0;
};
[[nodiscard]] LoadSkew load_skew(std::span<const std::int64_t> load);

/// sum |p - q| / 2 of the two loads' shares p and q: 0 alike, 1 disjoint.
[[nodiscard]] double total_variation(std::span<const std::int64_t> a,
                                     std::span<const std::int64_t> b);

/// (max - mean) / mean of the ranks' loads when ranks hold equal blocks of consecutive experts.
/// `ranks` divides the number of experts.
[[nodiscard]] double rank_imbalance(std::span<const std::int64_t> load, int ranks);

/// Sequences shorter than this say more about sampling than about routing.
inline constexpr std::int64_t kLeastRowsOfASequence = 64;

/// Quantities of per-token packs. `top_k` distinct experts a token.
struct TokenSkew {
  /// max/mean of each sequence of >= 64 tokens alone; spread over layers and sequences.
  std::optional<Spread> one_sequence;
  /// Share of top_k that a token has in common with the token before it in its sequence.
  std::optional<Spread> consecutive_overlap;
  /// The same if tokens were independent: top_k * sum of squared load shares.
  Spread independent_overlap;
  /// Total variation between two domains; spread over layers and pairs of domains.
  std::optional<Spread> domain_distance;
  /// max/mean of a domain's load in its hottest layer; spread over domains.
  std::optional<Spread> hottest_layer_of_domain;
};

/// Quantities of counts packs.
struct StepSkew {
  Spread max_over_mean;                 ///< of single steps; spread over steps and layers
  std::optional<Spread> step_distance;  ///< total variation from one step to the next
  std::optional<Spread> rank_distance;  ///< total variation of a source rank from its step's sum
};

struct SkewReport {
  Spread max_over_mean;  ///< the five of LoadSkew, of the load summed over the whole pack
  Spread variation;
  Spread std_ln;
  Spread top_share;
  Spread cold;
  std::optional<TokenSkew> tokens;
  std::optional<StepSkew> steps;
};

[[nodiscard]] SkewReport measure_skew(const RoutePack& pack, const Pace& pace = {});

enum class BatchKind {
  kDistinctSequences,  ///< one random token from each of B random sequences, none twice
  kOneSequence,        ///< B consecutive tokens at a random place of a random sequence
};

/// What batches of `tokens` tokens would ask of the experts.
struct BatchSkew {
  double unique_experts = 0.0;         ///< mean over draws and layers
  std::vector<double> rank_imbalance;  ///< by entry of `ranks`, mean over draws and layers
};

struct BatchSpec {
  BatchKind kind = BatchKind::kDistinctSequences;
  int tokens = 0;
  int draws = 0;
  std::vector<int> ranks;  ///< each divides the number of experts
  std::uint64_t seed = 0;
};

/// Mean over `draws` random batches of a per-token pack. With more tokens than sequences, or no
/// sequence of that many tokens, nothing can be drawn: absent.
[[nodiscard]] std::optional<BatchSkew> measure_batches(const RoutePack& pack,
                                                       const BatchSpec& spec);

}  // namespace moesim::traces
