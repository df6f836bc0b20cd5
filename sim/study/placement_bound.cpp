// SPDX-License-Identifier: Apache-2.0
#include "sim/study/placement_bound.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "sim/core/check.hpp"
#include "sim/moe/least_expert_time.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/study/copy_times.hpp"
#include "sim/study/expert_floor.hpp"
#include "sim/study/layer_resources.hpp"
#include "sim/study/pair_bound.hpp"
#include "sim/study/placement_cost.hpp"
#include "sim/study/placement_program.hpp"
#include "sim/study/rank_arrivals.hpp"
#include "sim/study/slot_pieces.hpp"
#include "sim/study/wave_bound.hpp"

namespace moesim {
namespace {

constexpr double kSolverMargin = 1e-6;  // tolerances of CLP, and times rounded to picoseconds

/// The least that the busiest slot holds, for any numbers of replicas.
std::int64_t least_of_busiest(const std::vector<std::int64_t>& loads, std::int64_t slots) {
  const auto fits = [&](std::int64_t most) {
    std::int64_t needed = 0;
    for (const std::int64_t load : loads) {
      needed += std::max<std::int64_t>(1, (load + most - 1) / most);
    }
    return needed <= slots;
  };
  std::int64_t low = 1;
  std::int64_t high = std::max<std::int64_t>(1, *std::max_element(loads.begin(), loads.end()));
  while (low < high) {
    const std::int64_t middle = (low + high) / 2;
    (fits(middle) ? high : low) = fits(middle) ? middle : middle + 1;
  }
  return low;
}

/// All that the bounds of one layer are made from.
class Bounds {
 public:
  Bounds(const StepModel& model, TrafficWindow window, int layer, int slots)
      : model_(model),
        window_(window),
        layer_(layer),
        slots_(slots),
        compute_{model.cluster.gpu, model.constants},
        traffic_(summarise_traffic(*model.routing, window, layer)),
        domains_(make_domains(rank_places(model.cluster, model.ranks))),
        copy_(copy_times(model, domains_, slots)),
        arrivals_(model, window, layer, slots, traffic_) {
    for (std::size_t r = 0; r < static_cast<std::size_t>(model.ranks); ++r) {
      speed_ = std::max(speed_, model.cluster.place(id_at<GpuId>(r)).speed);
    }
    fixed_ = fixed_time(model, traffic_).value + least_shared();
  }

  PlacementBound make() {
    const RankFloor floor(compute_, model_.model);
    const std::vector<SlotPieces> pieces = pieces_of_steps(floor);
    std::int64_t most = 0;
    for (const SlotPieces& of_step : pieces) {
      most = std::max(most, of_step.rows());
    }
    const WaveBound waves(
        floor,
        {.ranks = model_.ranks, .slots_per_rank = slots_ / model_.ranks, .speed = speed_},
        most);
    double slowest = 0.0;
    double mean = 0.0;
    for (int step = 0; step < traffic_.steps; ++step) {
      const SlotPieces& of_step = pieces[static_cast<std::size_t>(step)];
      slowest += waves.slowest(of_step, arrivals_.of_rank(step, copy_.any.both())) / traffic_.steps;
      mean += waves.mean(of_step) / traffic_.steps;
    }
    return {.load = seconds(load() * (1 - kSolverMargin)),
            .waves = seconds((fixed_ + slowest) * (1 - kSolverMargin)),
            .linear = seconds(linear(mean) * (1 - kSolverMargin))};
  }

 private:
  [[nodiscard]] std::size_t experts() const { return static_cast<std::size_t>(traffic_.experts); }
  [[nodiscard]] std::size_t ranks() const { return static_cast<std::size_t>(traffic_.ranks); }

  /// Shared experts of the rank with the fewest tokens, averaged over steps.
  [[nodiscard]] double least_shared() const {
    double sum = 0.0;
    for (std::size_t step = 0; step < static_cast<std::size_t>(traffic_.steps); ++step) {
      const auto of_step = std::span(traffic_.tokens).subspan(step * ranks(), ranks());
      const std::int64_t tokens = *std::min_element(of_step.begin(), of_step.end());
      sum += shared_expert_time(compute_, model_.model, tokens).value / speed_;
    }
    return sum / traffic_.steps;
  }

  [[nodiscard]] std::vector<std::int64_t> loads(int step) const {
    std::vector<std::int64_t> loads;
    for (std::size_t e = 0; e < experts(); ++e) {
      const auto counts = traffic_.of(step, e);
      loads.push_back(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
    }
    return loads;
  }

  /// Rows of the rank that has the busiest slot, at least.
  [[nodiscard]] std::vector<std::int64_t> least_rows(std::vector<std::int64_t> loads,
                                                     std::int64_t busiest) const {
    std::vector<std::int64_t> rows = {busiest};
    if (slots_ == traffic_.experts) {
      const auto others = static_cast<std::size_t>(slots_ / model_.ranks - 1);
      std::sort(loads.begin(), loads.end());
      rows.insert(rows.end(), loads.begin(), loads.begin() + static_cast<std::ptrdiff_t>(others));
    }
    return rows;
  }

  [[nodiscard]] double load() const {
    const double copy = copy_.any.both();
    double sum = 0.0;
    for (int step = 0; step < traffic_.steps; ++step) {
      const std::vector<std::int64_t> of_step = loads(step);
      std::int64_t most_own = 0;
      for (std::size_t e = 0; e < experts(); ++e) {
        const auto counts = traffic_.of(step, e);
        most_own =
            std::max<std::int64_t>(most_own, *std::max_element(counts.begin(), counts.end()));
      }
      if (*std::max_element(of_step.begin(), of_step.end()) == 0) {
        continue;
      }
      const std::int64_t busiest = least_of_busiest(of_step, slots_);
      sum += expert_time(compute_, model_.model, least_rows(of_step, busiest)).value / speed_ +
             copy * static_cast<double>(std::max<std::int64_t>(0, busiest - most_own));
    }
    return fixed_ + sum / traffic_.steps;
  }

  [[nodiscard]] std::vector<SlotPieces> pieces_of_steps(const RankFloor& floor) const {
    std::vector<SlotPieces> pieces;
    pieces.reserve(static_cast<std::size_t>(traffic_.steps));
    for (int step = 0; step < traffic_.steps; ++step) {
      pieces.emplace_back(traffic_, step, slots_, row_sharing(model_, slots_), floor.tile_rows());
    }
    return pieces;
  }

  [[nodiscard]] PlacementProgram program(double mean_experts) const {
    PlacementProgram program;
    program.fixed = fixed_;
    std::int64_t most = 1;
    program.rows.resize(experts());
    program.active.resize(experts());
    program.remote.assign(domains_.size(), std::vector<double>(experts()));
    for (int step = 0; step < traffic_.steps; ++step) {
      const std::vector<std::int64_t> of_step = loads(step);
      most = std::max(most, std::accumulate(of_step.begin(), of_step.end(), std::int64_t{0}));
      for (std::size_t e = 0; e < experts(); ++e) {
        program.rows[e] += static_cast<double>(of_step[e]) / traffic_.steps;
        program.active[e] += (of_step[e] > 0 ? 1.0 : 0.0) / traffic_.steps;
        const auto counts = traffic_.of(step, e);
        for (std::size_t source = 0; source < ranks(); ++source) {
          for (std::size_t d = 0; d < domains_.size(); ++d) {
            const bool own = domains_.of_rank[source] == d;
            program.remote[d][e] +=
                own ? 0.0 : static_cast<double>(counts[source]) / traffic_.steps;
          }
        }
      }
    }
    for (const auto& members : domains_.members) {
      program.ranks.push_back(static_cast<double>(members.size()));
    }
    program.slots_per_rank = slots_ / model_.ranks;
    program.over_rows = lines_over_rows(compute_, model_.model, most);
    program.over_slots = lines_over_slots(compute_, model_.model, program.slots_per_rank);
    program.least_experts = std::max(least_experts(), mean_experts);
    program.speed = speed_;
    program.remote_copy = copy_.remote;
    program.any_copy = copy_.any;
    set_copies(program);
    return program;
  }

  /// Routed experts of a rank, averaged over ranks and steps.
  [[nodiscard]] double least_experts() const {
    std::int64_t most = 0;
    for (int step = 0; step < traffic_.steps; ++step) {
      const std::vector<std::int64_t> of_step = loads(step);
      most = std::max(most, *std::max_element(of_step.begin(), of_step.end()));
    }
    const LeastExpertTime least(compute_, model_.model, most);
    double sum = 0.0;
    for (int step = 0; step < traffic_.steps; ++step) {
      sum += least.mean(loads(step), {model_.ranks, slots_ / model_.ranks}).value;
    }
    return sum / traffic_.steps / speed_;
  }

  /// How many copies there are at least.
  void set_copies(PlacementProgram& program) const {
    program.least_arriving = arrivals_.least_copies() / traffic_.steps;
    if (counts_assignments(model_.dispatch.kind)) {
      return;
    }
    std::size_t widest = 1;
    for (const auto& members : domains_.members) {
      widest = std::max(widest, members.size());
    }
    const auto of_rank = static_cast<std::size_t>(program.slots_per_rank);
    const auto sharing = [&](std::size_t slots) {
      return static_cast<double>(std::min(static_cast<std::size_t>(traffic_.top_k), slots));
    };
    program.remote_shared_by = sharing(widest * of_rank);
    program.arriving_shared_by = sharing(of_rank);
    program.least_remote =
        fewest_copies(count_pairs(*model_.routing, window_, layer_, domains_.of_rank),
                      {.slots = widest * of_rank,
                       .spare = static_cast<std::size_t>(slots_ - traffic_.experts)},
                      traffic_.top_k) /
        traffic_.steps;
  }

  [[nodiscard]] double linear(double mean_experts) const {
    return least_time(program(mean_experts));
  }

  const StepModel& model_;
  TrafficWindow window_;
  int layer_;
  int slots_;
  ComputeModel compute_;
  ExpertTraffic traffic_;
  Domains domains_;
  CopyTimes copy_;
  double speed_ = 0.0;
  double fixed_ = 0.0;
  RankArrivals arrivals_;
};

}  // namespace

PlacementBound placement_bound(const StepModel& model, TrafficWindow window, int layer, int slots) {
  MOESIM_CHECK(slots >= model.model.num_experts && slots % model.ranks == 0,
               "slots for every expert, alike on ranks");
  return Bounds(model, window, layer, slots).make();
}

std::optional<Seconds> mean_layer_bound(const StepModel& model,
                                        TrafficWindow window,
                                        int slots,
                                        int threads,
                                        const std::atomic<bool>* cancelled) {
  std::vector<Seconds> bounds(static_cast<std::size_t>(model.layers));
  const auto stopped = [&] { return cancelled != nullptr && cancelled->load(); };
  tbb::task_arena arena(threads > 0 ? threads : tbb::task_arena::automatic);
  tbb::task_group_context own(tbb::task_group_context::isolated);
  arena.execute([&] {
    tbb::parallel_for(
        std::size_t{0},
        bounds.size(),
        [&](std::size_t layer) {
          if (!stopped()) {
            bounds[layer] = placement_bound(model, window, static_cast<int>(layer), slots).best();
          }
        },
        tbb::simple_partitioner(),
        own);
  });
  if (stopped()) {
    return std::nullopt;
  }
  Seconds sum;
  for (const Seconds bound : bounds) {
    sum += bound;
  }
  return sum / model.layers;
}

}  // namespace moesim
