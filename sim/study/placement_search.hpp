// SPDX-License-Identifier: Apache-2.0
// Looks for placements whose layers are fast: simulated annealing on PlacementCost.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "sim/moe/placement.hpp"
#include "sim/step/step.hpp"
#include "sim/study/expert_traffic.hpp"
#include "sim/study/placement_cost.hpp"
#include "sim/study/survival.hpp"

namespace moesim {

/// How far a search is.
struct SearchProgress {
  std::int64_t moves = 0;  ///< candidates tried, all layers
  std::int64_t total = 0;
  Seconds start;  ///< cost of the starts of the layers that have begun, summed
  Seconds best;   ///< the same of what was found
};

struct SearchOptions {
  std::uint64_t seed = 1;
  int slots = 0;                       ///< of a layer, a multiple of the ranks; 0: one an expert
  int groups = 1;                      ///< of experts, for the EPLB that the search starts from
  std::int64_t moves = 100'000;        ///< candidates a layer (a shared map: in all)
  bool shared = false;                 ///< one map for all layers
  double tail = 0.35;                  ///< weight of the peaks in the experts' time, [0, 1]
  SurvivalRule survival = {};          ///< kept by every candidate
  std::vector<Placement> starts = {};  ///< by layer, to start from beside the search's own; a
                                       ///< shared map takes the first; empty: none
  bool trial = true;  ///< learn from halves of the window what to believe (trial_search.hpp)
  int threads = 0;    ///< 0: all cores
  const std::atomic<bool>* cancelled = nullptr;  ///< set: the best so far is kept
  /// Called from any thread, one at a time.
  std::function<void(const SearchProgress&)> on_progress = {};
};

/// A layer before and after the search.
struct SearchedLayer {
  LayerCost start;  ///< of the best placement that it started from
  LayerCost best;
  Believed believed;  ///< of the window, by the objectives
  bool pays = true;   ///< a trial was faster in the second half of the window; else the start stays
  Seconds start_objective;
  Seconds best_objective;
};

struct SearchResult {
  std::vector<Placement> placements;  ///< by layer; all alike with a shared map
  std::vector<SearchedLayer> layers;
  std::int64_t moves = 0;  ///< candidates tried
  /// What trials of all maps say that a layer takes in steps not seen (TrialResult), summed; none
  /// without trials.
  std::optional<Seconds> later = {};
  bool exact = false;  ///< every placement was tried: none costs less
  bool interrupted = false;
};

inline constexpr std::int64_t kSmallSpace = 2'000;

/// Annealing from the best of EPLB, greedy and contiguous, on
///   PlacementCost::objective(tail), summed over the layers of a shared map
/// Moves: two slots of different ranks exchange their experts; a slot whose expert has others is
/// given another expert; an expert moves to such a slot and leaves its own to any. Every second
/// move starts at the slowest rank of a random step. Worse states are taken with probability
/// e^(-increase / T), T from kHot to kCold of the start's cost. A map of at most kSmallSpace
/// placements is not annealed: all of them are tried. Anytime: the best state is kept; when
/// `cancelled` is set the search ends with it. Layers run in parallel, each with its own random
/// stream: same bytes at any thread count (INV-6) unless cancelled. Checked by:
/// placement_search_test (optimal on small cases), placement_bench (speed).
/// @pre options.slots is 0 or a multiple of model.ranks, at least the experts
[[nodiscard]] SearchResult optimise_placement(const StepModel& model,
                                              TrafficWindow window,
                                              const SearchOptions& options);

}  // namespace moesim
