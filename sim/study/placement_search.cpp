// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_search.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <iterator>
#include <optional>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/eplb.hpp"
#include "sim/step/placement_training.hpp"
#include "sim/study/annealing.hpp"
#include "sim/study/exact_search.hpp"
#include "sim/study/layer_resources.hpp"
#include "sim/study/rank_levels.hpp"
#include "sim/study/row_spread.hpp"
#include "sim/study/trial_search.hpp"

namespace moesim {
namespace {

/// Of the candidates, the part tried as itself where a rule is far dearer than kEven.
constexpr std::int64_t kJointOneIn = 20;
constexpr std::uint64_t kQuickStream = std::uint64_t{1} << 33U;  // apart from those of trials

/// The same with the rule that most candidates are tried with: kEven, where the model's own is
/// kLeastLoaded, which looks at all assignments for each candidate and evens out what is even.
StepModel with_quick_rule(StepModel model) {
  if (model.replicas.choice == ReplicaChoice::kLeastLoaded) {
    model.replicas.choice = ReplicaChoice::kEven;
  }
  return model;
}

/// The placements of a whole search.
class Search {
 public:
  Search(const StepModel& model, TrafficWindow window, const SearchOptions& options)
      : model_(model),
        quick_(with_quick_rule(model)),
        window_(window),
        options_(options),
        slots_(options.slots > 0 ? options.slots : model.model.num_experts),
        space_{.experts = model.model.num_experts, .slots = slots_, .ranks = model.ranks},
        space_size_(count_placements(space_, kSmallSpace)),
        resources_(layer_resources(model, slots_)),
        levels_(rank_levels(model)),
        progress_(options,
                  space_size_.value_or(options.moves) *
                      (options.shared ? std::int64_t{1} : std::int64_t{model.layers})) {
    window_.in_order = model.replicas.choice == ReplicaChoice::kLeastLoaded;
    MOESIM_CHECK(slots_ % model.ranks == 0 && slots_ >= model.model.num_experts,
                 "slots for every expert, alike on ranks");
    MOESIM_CHECK(options.moves >= 0 && options.tail >= 0 && options.tail <= 1,
                 "moves and a weight of the tail");
  }

  SearchResult run() {
    std::vector<SearchResult> maps(options_.shared ? 1 : static_cast<std::size_t>(model_.layers));
    tbb::task_arena arena(options_.threads > 0 ? options_.threads : tbb::task_arena::automatic);
    tbb::task_group_context own(tbb::task_group_context::isolated);
    arena.execute([&] {
      tbb::parallel_for(
          std::size_t{0},
          maps.size(),
          [&](std::size_t map) { maps[map] = search_map(map); },
          tbb::simple_partitioner(),
          own);
    });
    SearchResult all;
    all.exact = true;
    all.later = Seconds{};
    for (SearchResult& map : maps) {
      std::move(map.placements.begin(), map.placements.end(), std::back_inserter(all.placements));
      all.layers.insert(all.layers.end(), map.layers.begin(), map.layers.end());
      all.moves += map.moves;
      all.later = all.later && map.later ? std::optional(*all.later + *map.later) : std::nullopt;
      all.exact = all.exact && map.exact;
      all.interrupted = all.interrupted || map.interrupted;
    }
    return all;
  }

 private:
  /// One map: of layer `map`, or of all layers.
  SearchResult search_map(std::size_t map) {
    std::vector<ExpertTraffic> traffic;
    const int first = options_.shared ? 0 : static_cast<int>(map);
    const int last = options_.shared ? model_.layers : first + 1;
    for (int layer = first; layer < last; ++layer) {
      traffic.push_back(summarise_traffic(*model_.routing, window_, layer));
    }
    const TrialResult trial = options_.trial ? tried(traffic, map) : TrialResult{};
    const std::vector<Believed> believed = believe(traffic, trial);
    std::vector<PlacementCost> layers = best_start(traffic, believed, map);
    const Placement start = layers.front().placement();
    SearchResult result;
    result.later = trial.later;
    result.interrupted = is_stopped(options_);
    const Placement best = space_size_  ? best_of_all(traffic, believed, layers, result)
                           : trial.pays ? annealed(traffic, believed, layers, map, result)
                                        : kept_start(layers);
    for (std::size_t i = 0; i < traffic.size(); ++i) {
      const auto cost = [&](const Placement& placement, const Believed& part) {
        return PlacementCost(model_, traffic[i], resources_, placement, part);
      };
      result.placements.push_back(best);
      result.layers.push_back({.start = cost(start, {}).cost(),
                               .best = cost(best, {}).cost(),
                               .believed = believed[i],
                               .pays = trial.pays,
                               .start_objective = cost(start, believed[i]).objective(options_.tail),
                               .best_objective = cost(best, believed[i]).objective(options_.tail)});
    }
    return result;
  }

  [[nodiscard]] TrialResult tried(const std::vector<ExpertTraffic>& traffic,
                                  std::size_t map) const {
    const TrialSearch trial{.model = quick_,
                            .own = model_,
                            .resources = resources_,
                            .levels = levels_,
                            .window = window_,
                            .first = static_cast<int>(map),  // 0 where the map is of all layers
                            .layers = static_cast<int>(traffic.size())};
    return try_search(
        trial,
        [&](const std::vector<ExpertTraffic>& known) {
          const std::vector<Believed> all(known.size());
          return best_start(known, all, map).front().placement();
        },
        options_);
  }

  /// How much of each layer's traffic the search believes.
  [[nodiscard]] std::vector<Believed> believe(const std::vector<ExpertTraffic>& traffic,
                                              const TrialResult& trial) const {
    std::vector<Believed> believed;
    for (const ExpertTraffic& layer : traffic) {
      believed.push_back(
          {.rows = options_.trial ? kept_spread(layer) : 1.0, .sharing = trial.sharing});
    }
    return believed;
  }

  /// The best start, where a search would only learn chance.
  Placement kept_start(const std::vector<PlacementCost>& layers) {
    progress_.start(search_objective(layers, options_));
    progress_.add(options_.moves, 0.0);
    return layers.front().placement();
  }

  Placement annealed(const std::vector<ExpertTraffic>& traffic,
                     const std::vector<Believed>& believed,
                     std::vector<PlacementCost>& layers,
                     std::size_t map,
                     SearchResult& result) {
    const bool quickly = quick_.replicas.choice != model_.replicas.choice;
    SearchOptions last = options_;
    last.moves /= quickly ? kJointOneIn : 1;
    const double start = search_objective(layers, options_);
    if (quickly) {
      const Placement found = annealed_quickly(traffic, believed, layers, map, result);
      std::vector<PlacementCost> as_itself = costs_of(traffic, believed, found, model_);
      if (search_objective(as_itself, options_) < start) {
        layers = std::move(as_itself);
      }
    }
    Annealing annealing(layers, last, map, levels_);
    AnnealingProgress unseen(last, last.moves);
    result.interrupted = !annealing.run(quickly ? unseen : progress_) || result.interrupted;
    result.moves += annealing.moves();
    if (quickly) {
      progress_.add(annealing.moves(), 0.0);
    }
    return placement_from_slots(annealing.best_slots(), model_.ranks);
  }

  /// All but the last candidates, by the quick rule.
  Placement annealed_quickly(const std::vector<ExpertTraffic>& traffic,
                             const std::vector<Believed>& believed,
                             const std::vector<PlacementCost>& start,
                             std::size_t map,
                             SearchResult& result) {
    SearchOptions first = options_;
    first.moves -= first.moves / kJointOneIn;
    std::vector<PlacementCost> layers =
        costs_of(traffic, believed, start.front().placement(), quick_);
    Annealing annealing(layers, first, map + kQuickStream, levels_);
    result.interrupted = !annealing.run(progress_);
    result.moves = annealing.moves();
    return placement_from_slots(annealing.best_slots(), model_.ranks);
  }

  Placement best_of_all(const std::vector<ExpertTraffic>& traffic,
                        const std::vector<Believed>& believed,
                        const std::vector<PlacementCost>& start,
                        SearchResult& result) {
    Placement best = start.front().placement();
    double least = search_objective(start, options_);
    progress_.start(least);
    const double first = least;
    for_each_placement(space_, [&](const std::vector<ExpertId>& slots) {
      if (is_stopped(options_)) {
        result.interrupted = true;
        return false;
      }
      if (!options_.survival.is_kept_by_all(slots)) {
        return true;
      }
      const Placement placement = placement_from_slots(slots, model_.ranks);
      const double cost =
          search_objective(costs_of(traffic, believed, placement, model_), options_);
      ++result.moves;
      if (cost < least) {
        least = cost;
        best = placement;
      }
      return true;
    });
    progress_.add(*space_size_, first - least);
    result.exact = !result.interrupted;
    return best;
  }

  [[nodiscard]] std::vector<PlacementCost> costs_of(const std::vector<ExpertTraffic>& traffic,
                                                    const std::vector<Believed>& believed,
                                                    const Placement& placement,
                                                    const StepModel& model) const {
    std::vector<PlacementCost> costs;
    costs.reserve(traffic.size());
    for (std::size_t i = 0; i < traffic.size(); ++i) {
      costs.emplace_back(model, traffic[i], resources_, placement, believed[i]);
    }
    return costs;
  }

  [[nodiscard]] std::vector<PlacementCost> best_start(const std::vector<ExpertTraffic>& traffic,
                                                      const std::vector<Believed>& believed,
                                                      std::size_t map) const {
    std::vector<PlacementCost> best;
    for (const Placement& start : kept_starts(traffic, map)) {
      std::vector<PlacementCost> costs = costs_of(traffic, believed, start, model_);
      if (best.empty() || search_objective(costs, options_) < search_objective(best, options_)) {
        best = std::move(costs);
      }
    }
    return best;
  }

  /// The starts that keep the survival rule.
  [[nodiscard]] std::vector<Placement> kept_starts(const std::vector<ExpertTraffic>& traffic,
                                                   std::size_t map) const {
    std::vector<Placement> kept = starts(traffic, map);
    std::erase_if(kept, [&](const Placement& start) {
      return !options_.survival.is_kept_by_all(start.expert_of_slot);
    });
    MOESIM_CHECK(!kept.empty(), "a start keeps the survival rule");
    return kept;
  }

  [[nodiscard]] std::vector<Placement> starts(const std::vector<ExpertTraffic>& traffic,
                                              std::size_t map) const {
    std::vector<double> load(static_cast<std::size_t>(model_.model.num_experts));
    for (const ExpertTraffic& layer : traffic) {
      const std::vector<double> of_layer = expert_loads(layer);
      for (std::size_t e = 0; e < load.size(); ++e) {
        load[e] += of_layer[e];
      }
    }
    EplbSize size{.slots = slots_, .groups = 1, .nodes = 1, .ranks = model_.ranks};
    std::vector<Placement> placements = {eplb_placement(load, size)};
    if (slots_ == model_.model.num_experts) {
      placements.push_back(greedy_placement(load, model_.ranks));
      placements.push_back(contiguous_placement(slots_, model_.ranks));
    }
    if (!options_.starts.empty()) {
      placements.push_back(options_.starts[map]);
    }
    size.groups = options_.groups;
    size.nodes = eplb_nodes(resources_.domains);
    if (size.nodes > 1 && is_hierarchical(size)) {
      placements.push_back(eplb_placement(load, size));
    }
    return placements;
  }

  const StepModel& model_;
  const StepModel quick_;
  TrafficWindow window_;
  SearchOptions options_;
  int slots_;
  PlacementSpace space_;
  std::optional<std::int64_t> space_size_;  ///< of a small space
  LayerResources resources_;
  RankLevels levels_;
  AnnealingProgress progress_;
};

}  // namespace

SearchResult optimise_placement(const StepModel& model,
                                TrafficWindow window,
                                const SearchOptions& options) {
  MOESIM_CHECK(model.routing != nullptr && model.layers > 0, "a model with a routing and layers");
  return Search(model, window, options).run();
}

}  // namespace moesim
