// SPDX-License-Identifier: Apache-2.0
#include "sim/step/capacity_sweep.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/capacity_ladder.hpp"
#include "sim/step/layer_work.hpp"

namespace moesim {
namespace {

constexpr std::size_t kFactorsAtOnce = 8;

/// One layer of a step: totals of a rung without its counts.
using LayerTotals = std::vector<Accepted>;

bool accepts_all(const LayerTotals& layers) {
  return std::all_of(layers.begin(), layers.end(), [](const Accepted& a) {
    return a.dropped == 0 && a.diverted == 0 && a.padding_rows == 0;
  });
}

/// Nested policies that drop as many drop the same; padding tells shapes apart.
bool same_rung(const LayerTotals& a, const LayerTotals& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](auto& x, auto& y) {
           return x.dropped == y.dropped && x.padding_rows == y.padding_rows;
         });
}

double ratio(double part, double whole) {
  return whole > 0.0 ? part / whole : 0.0;
}

void add_totals(CapacityPoint& point, const Accepted& layer) {
  point.assignments += layer.assignments;
  point.dropped += layer.dropped;
  point.diverted += layer.diverted;
  point.tokens += layer.tokens;
  point.lost_tokens += layer.lost_tokens;
  point.padding_rows += layer.padding_rows;
  point.weight += layer.weight;
  point.dropped_ratio.push_back(
      ratio(static_cast<double>(layer.dropped), static_cast<double>(layer.assignments)));
  if (layer.dropped_weight) {
    point.dropped_weight += *layer.dropped_weight;
    point.dropped_weight_ratio.push_back(ratio(*layer.dropped_weight, layer.weight));
  }
}

void add_run(CapacityPoint& point, const StepResult& run) {
  point.step_s.push_back(run.makespan.to_seconds().value);
  for (const LayerResult& layer : run.layers) {
    for (const std::int64_t tokens : layer.rank_tokens) {
      point.accepted_rows += tokens;
    }
    point.dispatch_bytes += layer.dispatch_bytes;
    point.combine_bytes += layer.combine_bytes;
    point.scale_out_bytes += layer.scale_out_bytes;
  }
}

/// The clock's part of `from`, which equals that of `point`.
void copy_run(CapacityPoint& point, const CapacityPoint& from) {
  point.step_s = from.step_s;
  point.accepted_rows = from.accepted_rows;
  point.dispatch_bytes = from.dispatch_bytes;
  point.combine_bytes = from.combine_bytes;
  point.scale_out_bytes = from.scale_out_bytes;
}

void append(std::vector<double>& to, const std::vector<double>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

void add_step(CapacityPoint& to, const CapacityPoint& step) {
  append(to.step_s, step.step_s);
  append(to.dropped_ratio, step.dropped_ratio);
  append(to.dropped_weight_ratio, step.dropped_weight_ratio);
  to.assignments += step.assignments;
  to.dropped += step.dropped;
  to.diverted += step.diverted;
  to.weight += step.weight;
  to.dropped_weight += step.dropped_weight;
  to.tokens += step.tokens;
  to.lost_tokens += step.lost_tokens;
  to.padding_rows += step.padding_rows;
  to.accepted_rows += step.accepted_rows;
  to.dispatch_bytes += step.dispatch_bytes;
  to.combine_bytes += step.combine_bytes;
  to.scale_out_bytes += step.scale_out_bytes;
}

/// Points that one thread computes one after the other.
struct Unit {
  std::size_t curve = 0;
  std::size_t first_factor = 0;
  std::size_t factors = 0;
};

/// Counts points done, from any thread.
class PointProgress {
 public:
  PointProgress(const ReplayControl& control, int total) : control_(control), total_(total) {}
  void point_done(bool ran) {
    const std::scoped_lock lock(mutex_);
    simulated_ += ran ? 1 : 0;
    ++done_;
    if (control_.on_progress) {
      control_.on_progress(done_, total_);
    }
  }
  [[nodiscard]] bool cancelled() const {
    return control_.cancelled != nullptr && control_.cancelled->load();
  }
  [[nodiscard]] std::int64_t simulated() const { return simulated_; }

 private:
  const ReplayControl& control_;
  int total_;
  int done_ = 0;
  std::int64_t simulated_ = 0;
  std::mutex mutex_;
};

/// Every point of one step.
class SweepStep {
 public:
  SweepStep(const StepModel& model, int step, const CapacityGrid& grid, PointProgress& progress)
      : model_(model),
        step_(step),
        grid_(grid),
        curves_(curves_of(grid)),
        domains_(make_domains(rank_places(model.cluster, model.ranks))),
        progress_(progress),
        routings_(static_cast<std::size_t>(model.layers)),
        points(curves_.size() * grid.factors.size()) {
    // Contexts of their own: when another step throws, loops bound to the loop over steps would
    // return early, with layers or points missing.
    tbb::task_group_context own(tbb::task_group_context::isolated);
    const auto route = [&](std::size_t layer) {
      routings_[layer] = model_.routing->route(step_, static_cast<int>(layer));
    };
    tbb::parallel_for(std::size_t{0}, routings_.size(), route, own);
  }

  void run() {
    CapacitySpec spec = model_.capacity;
    spec.policy = OverflowPolicy::kNone;
    dropless = evaluate(spec, rungs_at(spec));
    const std::vector<Unit> units = split();
    tbb::task_group_context own(tbb::task_group_context::isolated);
    tbb::parallel_for(
        std::size_t{0}, units.size(), [&](std::size_t u) { run_unit(units[u]); }, own);
  }

 private:
  using LayerRungs = std::vector<Rung>;

  [[nodiscard]] CapacitySpec spec_at(std::size_t curve, std::size_t factor) const {
    CapacitySpec spec = model_.capacity;
    spec.policy = curves_[curve].policy;
    spec.scope = curves_[curve].scope;
    spec.factor = grid_.factors[factor];
    return spec;
  }

  [[nodiscard]] std::vector<Unit> split() const {
    std::vector<Unit> units;
    for (std::size_t curve = 0; curve < curves_.size(); ++curve) {
      const std::size_t chunk = is_nested(spec_at(curve, 0)) ? kFactorsAtOnce : 1;
      for (std::size_t f = 0; f < grid_.factors.size(); f += chunk) {
        units.push_back({curve, f, std::min(chunk, grid_.factors.size() - f)});
      }
    }
    return units;
  }

  [[nodiscard]] Placed placed(std::size_t layer) const {
    return {.placement = model_.placements[layer], .domains = domains_, .rule = model_.replicas};
  }

  /// One factor of any policy.
  [[nodiscard]] LayerRungs rungs_at(const CapacitySpec& spec) const {
    LayerRungs rungs;
    for (std::size_t layer = 0; layer < routings_.size(); ++layer) {
      const Routing& routing = routings_[layer];
      Accepted accepted = apply_capacity(routing, spec, placed(layer));
      RankCounts counts = count_ranks(routing, accepted, model_.placements[layer], domains_);
      rungs.push_back({std::move(counts), std::move(accepted)});
    }
    return rungs;
  }

  /// All factors of a unit of a nested curve, [factor][layer].
  [[nodiscard]] std::vector<LayerRungs> climbed(const Unit& unit) const {
    const auto factors = std::span(grid_.factors).subspan(unit.first_factor, unit.factors);
    std::vector<LayerRungs> rungs(unit.factors);
    for (std::size_t layer = 0; layer < routings_.size(); ++layer) {
      std::vector<Rung> all =
          climb(routings_[layer], spec_at(unit.curve, unit.first_factor), factors, placed(layer));
      for (std::size_t f = 0; f < all.size(); ++f) {
        const CapacitySpec spec = spec_at(unit.curve, unit.first_factor + f);
        if (spec.policy == OverflowPolicy::kPad) {
          all[f].accepted.padding_rows = padding(
              routings_[layer], spec, all[f].accepted, model_.placements[layer].num_slots());
        }
        rungs[f].push_back(std::move(all[f]));
      }
    }
    return rungs;
  }

  void run_unit(const Unit& unit) {
    const bool nested = is_nested(spec_at(unit.curve, unit.first_factor));
    std::vector<LayerRungs> rungs;
    if (nested && !progress_.cancelled()) {
      rungs = climbed(unit);
    }
    LayerTotals before;
    const CapacityPoint* equal = nullptr;
    for (std::size_t f = 0; f < unit.factors && !progress_.cancelled(); ++f) {
      const std::size_t factor = unit.first_factor + f;
      const CapacitySpec spec = spec_at(unit.curve, factor);
      LayerRungs layers = nested ? std::move(rungs[f]) : rungs_at(spec);
      LayerTotals totals = totals_of(layers);
      if (accepts_all(totals)) {
        equal = &dropless;
      } else if (!nested || !same_rung(totals, before)) {
        equal = nullptr;
      }
      CapacityPoint& point = points[unit.curve * grid_.factors.size() + factor];
      point = equal != nullptr ? repeated(spec, totals, *equal) : evaluate(spec, std::move(layers));
      progress_.point_done(equal == nullptr);
      equal = &point;
      before = std::move(totals);
    }
  }

  static LayerTotals totals_of(const LayerRungs& layers) {
    LayerTotals totals;
    for (const Rung& rung : layers) {
      const Accepted& all = rung.accepted;
      totals.push_back({.keep = {},
                        .assignments = all.assignments,
                        .dropped = all.dropped,
                        .weight = all.weight,
                        .dropped_weight = all.dropped_weight,
                        .experts = {},
                        .per_token = all.per_token,
                        .diverted = all.diverted,
                        .tokens = all.tokens,
                        .lost_tokens = all.lost_tokens,
                        .padding_rows = all.padding_rows});
    }
    return totals;
  }

  static CapacityPoint repeated(const CapacitySpec& spec,
                                const LayerTotals& totals,
                                const CapacityPoint& equal) {
    CapacityPoint point;
    point.spec = spec;
    for (const Accepted& layer : totals) {
      add_totals(point, layer);
    }
    copy_run(point, equal);
    return point;
  }

  [[nodiscard]] CapacityPoint evaluate(const CapacitySpec& spec, LayerRungs rungs) const {
    CapacityPoint point;
    point.spec = spec;
    std::vector<PreparedLayer> layers;
    for (std::size_t layer = 0; layer < rungs.size(); ++layer) {
      add_totals(point, rungs[layer].accepted);
      layers.push_back(prepare_counted(
          model_, spec, static_cast<int>(layer), routings_[layer], std::move(rungs[layer])));
    }
    add_run(point, simulate_prepared(model_, step_, std::move(layers)));
    return point;
  }

  const StepModel& model_;
  int step_;
  const CapacityGrid& grid_;
  std::vector<CapacityCurve> curves_;
  Domains domains_;
  PointProgress& progress_;
  std::vector<Routing> routings_;  ///< by layer

 public:
  CapacityPoint dropless;
  std::vector<CapacityPoint> points;
};

}  // namespace

std::vector<CapacityCurve> curves_of(const CapacityGrid& grid) {
  std::vector<CapacityCurve> curves;
  for (const OverflowPolicy policy : grid.policies) {
    for (const CapacityScope scope : grid.scopes) {
      const bool pooled = scope == CapacityScope::kGroup || scope == CapacityScope::kGlobal;
      if (policy != OverflowPolicy::kPad || !pooled) {
        curves.push_back({policy, scope});
      }
    }
  }
  return curves;
}

CapacitySweep sweep_capacity(const StepModel& model,
                             int steps,
                             const CapacityGrid& grid,
                             const ReplayControl& control) {
  MOESIM_CHECK(!grid.factors.empty() && std::is_sorted(grid.factors.begin(), grid.factors.end()),
               "a sweep has ascending factors");
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  CapacitySweep sweep;
  sweep.steps = steps;
  sweep.curves = curves_of(grid);
  sweep.points.resize(sweep.curves.size() * grid.factors.size());
  PointProgress progress(control, steps * static_cast<int>(sweep.points.size()));
  for (int step = 0; step < steps && !progress.cancelled(); ++step) {
    std::optional<SweepStep> at;
    try {
      at.emplace(model, step, grid, progress);
      at->run();
    } catch (const Cancelled&) {  // while the routing was drawn
      break;
    }
    if (progress.cancelled()) {
      break;
    }
    sweep.dropless.spec = at->dropless.spec;
    add_step(sweep.dropless, at->dropless);
    for (std::size_t p = 0; p < at->points.size(); ++p) {
      sweep.points[p].spec = at->points[p].spec;
      add_step(sweep.points[p], at->points[p]);
    }
    ++sweep.steps_done;
  }
  if (sweep.steps_done == 0) {
    throw Cancelled();
  }
  sweep.simulated = progress.simulated() + sweep.steps_done;
  return sweep;
}

}  // namespace moesim
