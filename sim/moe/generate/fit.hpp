// SPDX-License-Identifier: Apache-2.0
// Fits a GeneratorSpec to a recorded routing and tests it on parts of the recording it did not see.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/moe/generate/generator_spec.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::generate {

/// Quantities of docs/traces.md that the fit meets or is tested on; medians over layers.
struct RoutingFacts {
  double std_ln = 0.0;
  double variation = 0.0;
  double cold = 0.0;  ///< share of the experts with less than a tenth of the mean
  double max_over_mean = 0.0;
  double top_share = 0.0;
  std::optional<double> one_sequence;     ///< max/mean
  std::optional<double> overlap;          ///< of consecutive tokens
  std::optional<double> overlap_4;        ///< of tokens 4 apart
  std::optional<double> overlap_16;       ///< of tokens 16 apart
  std::optional<double> domain_distance;  ///< absent with one domain
  std::optional<double> unique_experts;   ///< of 32 consecutive tokens of a sequence
  std::optional<double> best_weight;      ///< share of a token's gate weight on its largest
};

[[nodiscard]] RoutingFacts routing_facts(const traces::RoutePack& pack);

/// One row of the table that a fit prints.
struct FitRow {
  std::string part;      ///< "fitted", "unseen sequences", "unseen domains", "unseen steps"
  std::string quantity;  ///< a name of RoutingFacts
  double recorded = 0.0;
  double generated = 0.0;
  bool is_target = false;  ///< the fit aimed at it
};

struct FitResult {
  GeneratorSpec spec;
  std::vector<FitRow> rows;
  std::vector<std::string> notes;  ///< sentences: what could not be fitted or tested
};

/// Adjusts the numbers of a GeneratorSpec until a generated pack with the same sequences has the
/// recording's facts, each by the fact it moves most:
///   popularity_sigma  variation            domain_sigma  domain_distance
///   cold_share        cold                 cold_drop     std_ln, if there are cold experts
///   request_sigma     one_sequence - 1     token_sigma   overlap
///   token_correlation (overlap_4 - overlap_16) / (overlap - overlap_16) = correlation^3
///   weight_scale      best_weight - 1 / top_k, where the recording has gate weights; weights that
///                     sum to less than 1 a token are taken for a softmax over all experts
/// A third of the domains (if there are three) and every other sequence are kept out of it.
/// Sequences are cut into windows of 256 tokens if there are fewer than 8. A counts pack has only
/// loads: half of its steps are kept out, and the tilts are 0.
///
/// Source: method of simulated moments (McFadden 1989), solved one moment at a time.
/// Valid for: medians over layers; the spread over layers is not fitted.
/// @param pace  "fitting", by rounds
/// Checked by: fit_test (its own output back).
[[nodiscard]] FitResult fit_generator(const traces::RoutePack& pack,
                                      std::uint64_t seed,
                                      const Pace& pace = {});

}  // namespace moesim::generate
