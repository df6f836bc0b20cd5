// SPDX-License-Identifier: Apache-2.0
#include "sim/study/trial_search.hpp"

#include <algorithm>
#include <vector>

#include "sim/study/annealing.hpp"

namespace moesim {
namespace {

constexpr std::uint64_t kTrialStream = std::uint64_t{1} << 32U;  // apart from those of searches
constexpr int kPartOfMoves = 4;

std::vector<ExpertTraffic> traffic_in(const TrialSearch& trial, TrafficWindow window) {
  std::vector<ExpertTraffic> traffic;
  for (int layer = trial.first; layer < trial.first + trial.layers; ++layer) {
    traffic.push_back(summarise_traffic(*trial.model.routing, window, layer));
  }
  return traffic;
}

/// Summed over the layers.
struct Times {
  double traffic = 0.0;  ///< dispatch and combine
  double guarded = 0.0;  ///< what searches minimise but for its softened busiest resources
};

Times times_of(const StepModel& model,
               const TrialSearch& trial,
               const std::vector<ExpertTraffic>& traffic,
               const Placement& placement,
               double tail) {
  Times times;
  for (const ExpertTraffic& layer : traffic) {
    const LayerCost cost = PlacementCost(model, layer, trial.resources, placement).cost();
    times.traffic += (cost.dispatch + cost.combine).value;
    times.guarded += cost.guarded(tail).value;
  }
  return times;
}

}  // namespace

TrialResult try_search(const TrialSearch& trial,
                       const StartMaker& start_of,
                       const SearchOptions& options) {
  TrafficWindow early = trial.window;
  early.steps /= 2;
  if (early.steps == 0) {
    return {};
  }
  TrafficWindow late = trial.window;
  late.first += early.steps;
  late.steps -= early.steps;
  const std::vector<ExpertTraffic> seen = traffic_in(trial, early);
  const Placement start = start_of(seen);
  std::vector<PlacementCost> layers;
  layers.reserve(seen.size());
  for (const ExpertTraffic& layer : seen) {
    layers.emplace_back(trial.model, layer, trial.resources, start);
  }
  SearchOptions quiet = options;
  quiet.moves /= kPartOfMoves;
  quiet.on_progress = {};
  AnnealingProgress unseen(quiet, quiet.moves);
  Annealing annealing(
      layers, quiet, kTrialStream + static_cast<std::uint64_t>(trial.first), trial.levels);
  annealing.run(unseen);
  const Placement found = placement_from_slots(annealing.best_slots(), trial.model.ranks);
  const std::vector<ExpertTraffic> later = traffic_in(trial, late);
  const Times before = times_of(trial.model, trial, later, start, options.tail);
  const Times after = times_of(trial.model, trial, later, found, options.tail);
  const double saved = times_of(trial.model, trial, seen, start, options.tail).traffic -
                       times_of(trial.model, trial, seen, found, options.tail).traffic;
  TrialResult result{.pays = after.guarded < before.guarded, .sharing = 1.0};
  if (saved > 0.0) {
    result.sharing = std::clamp((before.traffic - after.traffic) / saved, 0.0, 1.0);
  }
  const Times kept = times_of(trial.own, trial, later, result.pays ? found : start, options.tail);
  result.later = seconds(kept.guarded);
  return result;
}

}  // namespace moesim
