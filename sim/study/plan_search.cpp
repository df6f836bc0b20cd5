// SPDX-License-Identifier: Apache-2.0
#include "sim/study/plan_search.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/step/replay.hpp"

namespace moesim {
namespace {

using Points = std::vector<std::size_t>;

/// Every configuration once: the best bound of each objective in turn, then the second best, ...
Points search_order(std::span<const PlanCandidate> candidates,
                    std::span<const PlanObjective> objectives) {
  std::vector<Points> by_objective;
  for (const PlanObjective objective : objectives) {
    Points order(candidates.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return to_minimise(candidates[a].bound, objective) <
             to_minimise(candidates[b].bound, objective);
    });
    by_objective.push_back(std::move(order));
  }
  Points merged;
  std::vector<char> taken(candidates.size());
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    for (const Points& order : by_objective) {
      if (!std::exchange(taken[order[i]], 1)) {
        merged.push_back(order[i]);
      }
    }
  }
  return merged;
}

class FrontSearch {
 public:
  FrontSearch(std::span<const PlanCandidate> candidates,
              const EvaluatePlan& evaluate,
              const PlanControl& control)
      : candidates_(candidates), evaluate_(evaluate), control_(control) {
    result_.outcomes.resize(candidates.size());
    for (const PlanCandidate& candidate : candidates) {
      bounds_.push_back({candidate.bound, false});
    }
  }

  PlanSearch run() {
    Points points = search_order(candidates_, control_.objectives);
    if (control_.method == PlanMethod::kHalving) {
      for (int steps = 1; steps < control_.steps && !cancelled(); steps *= 2) {
        points = better_half(points, steps);
      }
    }
    simulate(points, control_.steps, control_.method != PlanMethod::kExhaustive);
    result_.interrupted = cancelled();
    for (PlanOutcome& outcome : result_.outcomes) {
      const bool simulated =
          outcome.state == PlanState::kFeasible || outcome.state == PlanState::kOverLimit;
      if (simulated && outcome.steps < control_.steps) {
        outcome = {};  // a short run that an interruption left behind
      }
    }
    for (std::size_t p = 0; p < bounds_.size(); ++p) {
      result_.outcomes[p].bound = bounds_[p].score;
      result_.outcomes[p].sharpened = bounds_[p].sharpened;
    }
    result_.front = front();
    return std::move(result_);
  }

 private:
  [[nodiscard]] bool cancelled() const {
    return control_.cancelled != nullptr && control_.cancelled->load();
  }

  /// Configurations of `points` one wave after the other; with `prune` those that bounds rule out
  /// are passed over.
  void simulate(const Points& points, int steps, bool prune) {
    for (std::size_t at = 0; at < points.size() && !cancelled();) {
      Points wave;
      for (; at < points.size() && wave.size() < kPlanWave; ++at) {
        if (!prune || !ruled_out(points[at])) {
          wave.push_back(points[at]);
        }
      }
      if (prune && control_.sharpen) {
        sharpen(wave);
      }
      tbb::task_group_context own(tbb::task_group_context::isolated);
      tbb::parallel_for(
          std::size_t{0}, wave.size(), [&](std::size_t i) { settle(wave[i], steps); }, own);
      for (const std::size_t point : wave) {
        if (result_.outcomes[point].state == PlanState::kFeasible && steps == control_.steps) {
          feasible_.push_back(point);
        }
      }
    }
  }

  /// The second bound of each, where there is none yet; leaves out those that it rules out.
  void sharpen(Points& wave) {
    tbb::task_group_context own(tbb::task_group_context::isolated);
    tbb::parallel_for(
        std::size_t{0},
        wave.size(),
        [&](std::size_t i) {
          Bound& bound = bounds_[wave[i]];
          if (cancelled() || bound.sharpened || (feasible_.empty() && !has_limit(wave[i]))) {
            return;
          }
          try {
            if (const std::optional<PlanScore> second = control_.sharpen(wave[i])) {
              bound = {tighter(bound.score, *second), true};
            }
          } catch (const Cancelled&) {
            return;  // stays as it was
          }
        },
        own);
    std::erase_if(wave, [&](std::size_t point) { return ruled_out(point); });
  }

  /// Whether a bound alone can rule the configuration out.
  [[nodiscard]] bool has_limit(std::size_t point) const {
    const PlanLimits& limits = candidates_[point].limits;
    return limits.throughput > 0 || limits.latency < PlanLimits{}.latency ||
           limits.cost < PlanLimits{}.cost;
  }

  static PlanScore tighter(const PlanScore& a, const PlanScore& b) {
    return {.throughput = std::min(a.throughput, b.throughput),
            .latency = std::max(a.latency, b.latency),
            .cost = std::max(a.cost, b.cost),
            .within = a.within && b.within};
  }

  /// Whether a bound rules the configuration out, which is then settled.
  bool ruled_out(std::size_t point) {
    PlanOutcome& outcome = result_.outcomes[point];
    if (!candidates_[point].limits.admits(bounds_[point].score)) {
      outcome = {.state = PlanState::kBoundOverLimit, .score = {}, .steps = 0, .by = 0};
      return report_settled(), true;
    }
    const auto better = std::find_if(feasible_.begin(), feasible_.end(), [&](std::size_t other) {
      return dominates(result_.outcomes[other].score, bounds_[point].score, control_.objectives);
    });
    if (better == feasible_.end()) {
      return false;
    }
    outcome = {.state = PlanState::kDominated, .score = {}, .steps = 0, .by = *better};
    return report_settled(), true;
  }

  void settle(std::size_t point, int steps) {
    std::optional<PlanScore> score;
    try {
      score = evaluate_(point, steps);
    } catch (const Cancelled&) {
      return;  // stays as it was
    }
    PlanOutcome outcome{.state = PlanState::kRefused, .score = {}, .steps = steps, .by = 0};
    if (score) {
      check_bound(*score, bounds_[point].score);
      outcome.score = *score;
      outcome.state =
          candidates_[point].limits.admits(*score) ? PlanState::kFeasible : PlanState::kOverLimit;
    }
    result_.outcomes[point] = outcome;
    const std::scoped_lock lock(mutex_);
    result_.steps_simulated += steps;
    if (steps == control_.steps || !score) {
      report_settled_locked();
    }
  }

  static void check_bound(const PlanScore& score, const PlanScore& bound) {
    constexpr double kRounding = 1e-9;
    const bool holds = score.throughput <= bound.throughput * (1 + kRounding) &&
                       score.latency >= bound.latency * (1 - kRounding) &&
                       score.cost >= bound.cost * (1 - kRounding);
    MOESIM_CHECK(holds, "a simulation beats the bound of its configuration");
  }

  /// Simulates `steps` steps of each and keeps the better half; the others are left out.
  Points better_half(const Points& points, int steps) {
    Points left;
    for (const std::size_t point : points) {
      if (!ruled_out(point)) {
        left.push_back(point);
      }
    }
    simulate(left, steps, false);
    if (cancelled()) {
      return left;
    }
    std::erase_if(left,
                  [&](std::size_t p) { return result_.outcomes[p].state == PlanState::kRefused; });
    const std::size_t wanted = (left.size() + 1) / 2;
    Points kept;
    while (kept.size() < wanted) {
      Points best = first_front(left);
      std::erase_if(left, [&](std::size_t p) {
        return std::find(best.begin(), best.end(), p) != best.end();
      });
      if (!kept.empty() && kept.size() + best.size() > wanted) {
        const auto surplus = static_cast<std::ptrdiff_t>(wanted - kept.size());
        left.insert(left.end(), best.begin() + surplus, best.end());
        best.resize(wanted - kept.size());
      }
      kept.insert(kept.end(), best.begin(), best.end());
    }
    for (const std::size_t point : left) {
      result_.outcomes[point].state = PlanState::kLeftOut;
      report_settled();
    }
    return kept;
  }

  /// Those of `points` that none of them dominates; feasible ones before all others.
  [[nodiscard]] Points first_front(const Points& points) const {
    const auto feasible = [&](std::size_t p) {
      return result_.outcomes[p].state == PlanState::kFeasible;
    };
    const bool any = std::any_of(points.begin(), points.end(), feasible);
    Points best;
    for (const std::size_t p : points) {
      const auto beats = [&](std::size_t q) {
        return (!any || feasible(q)) &&
               dominates(result_.outcomes[q].score, result_.outcomes[p].score, control_.objectives);
      };
      if ((!any || feasible(p)) && std::none_of(points.begin(), points.end(), beats)) {
        best.push_back(p);
      }
    }
    return best;
  }

  [[nodiscard]] Points front() const {
    Points whole;
    for (std::size_t p = 0; p < result_.outcomes.size(); ++p) {
      if (result_.outcomes[p].state == PlanState::kFeasible) {
        whole.push_back(p);
      }
    }
    return first_front(whole);
  }

  void report_settled() {
    const std::scoped_lock lock(mutex_);
    report_settled_locked();
  }
  void report_settled_locked() {
    ++settled_;
    if (control_.on_progress) {
      control_.on_progress(settled_, static_cast<int>(candidates_.size()));
    }
  }

  struct Bound {
    PlanScore score;
    bool sharpened = false;
  };

  std::span<const PlanCandidate> candidates_;
  const EvaluatePlan& evaluate_;
  const PlanControl& control_;
  PlanSearch result_;
  std::vector<Bound> bounds_;
  Points feasible_;  ///< whole simulations within the limits, in order of waves
  std::mutex mutex_;
  int settled_ = 0;
};

}  // namespace

double to_minimise(const PlanScore& score, PlanObjective objective) {
  switch (objective) {
    case PlanObjective::kThroughput:
      return -score.throughput;
    case PlanObjective::kLatency:
      return score.latency;
    case PlanObjective::kCost:
      return score.cost;
  }
  MOESIM_CHECK(false, "unknown objective");
}

bool dominates(const PlanScore& a, const PlanScore& b, std::span<const PlanObjective> objectives) {
  bool better = false;
  for (const PlanObjective objective : objectives) {
    const double x = to_minimise(a, objective);
    const double y = to_minimise(b, objective);
    if (x > y) {
      return false;
    }
    better = better || x < y;
  }
  return better;
}

PlanSearch search_plan(std::span<const PlanCandidate> candidates,
                       const EvaluatePlan& evaluate,
                       const PlanControl& control) {
  MOESIM_CHECK(!control.objectives.empty() && control.steps > 0, "something to look for");
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  return FrontSearch(candidates, evaluate, control).run();
}

std::optional<double> crossing(const std::function<double(double)>& value,
                               double target,
                               double end) {
  constexpr double kPrecision = 0.01;
  const bool above = value(1.0) > target;
  if ((value(end) > target) == above) {
    return std::nullopt;
  }
  double near = 0;  // logarithms of factors on either side
  double far = std::log(end);
  while (std::abs(far - near) > kPrecision) {
    const double middle = (near + far) / 2;
    ((value(std::exp(middle)) > target) == above ? near : far) = middle;
  }
  return std::exp(far);
}

}  // namespace moesim
