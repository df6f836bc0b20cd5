// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/planner.hpp"

#include <algorithm>
#include <utility>

#include "sim/cli/console.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::cli {
namespace {

class Planner {
 public:
  Planner(const PlanFile& plan, const PlannerControl& control) : plan_(plan), control_(control) {}

  PlanResult run() {
    prepare();
    search();
    if (!to_.search.interrupted && !to_.search.front.empty()) {
      settle_alternative();
    }
    if (to_.search.interrupted) {
      (void)take_interrupt();
    }
    return std::move(to_);
  }

 private:
  void prepare() {
    Progress progress("configurations loaded", !control_.quiet);
    to_.points = prepare_plan(
        plan_, {.overrides = control_.overrides, .on_progress = [&](int done, int total) {
                  progress.update(done, total);
                }});
    for (std::size_t i = 0; i < to_.points.points.size(); ++i) {
      if (to_.points.points[i].scenario) {
        to_.ready.push_back(i);
        to_.steps = std::max(to_.steps, to_.scenario(i).batch.steps);
      }
    }
    to_.runs.resize(to_.points.points.size());
    if (plan_.search.method == PlanMethod::kHalving && to_.steps < 2 && !to_.ready.empty()) {
      throw UserError(
          "search.method: halving needs batch.steps of 2 or more: its short runs have fewer steps");
    }
  }

  void search() {
    std::vector<PlanCandidate> candidates;
    for (const std::size_t i : to_.ready) {
      candidates.push_back(to_.points.points[i].candidate);
    }
    Progress progress("configurations settled", !control_.quiet);
    to_.search = search_plan(
        candidates,
        [&](std::size_t candidate, int steps) { return evaluate(to_.ready[candidate], steps); },
        {.method = plan_.search.method,
         .objectives = plan_.objectives,
         .steps = to_.steps,
         .threads = control_.threads,
         .cancelled = &interrupted(),
         .on_progress = [&](int done, int total) { progress.update(done, total); },
         .sharpen = [&](std::size_t candidate) { return sharpen(to_.ready[candidate]); }});
  }

  /// The bound of a configuration from its traffic.
  [[nodiscard]] std::optional<PlanScore> sharpen(std::size_t i) const {
    const PlanPoint& point = to_.points.points[i];
    const Scenario& s = *point.scenario;
    const auto least = least_mean_step(s, *to_.cache);
    return least ? std::optional(
                       score_of(s, point.money, plan_.search.cost, yield_of_step(s, *least)))
                 : std::nullopt;
  }

  /// The first `steps` steps of a configuration; those known already are not simulated again.
  std::optional<PlanScore> evaluate(std::size_t i, int steps) {
    PlanPoint& point = to_.points.points[i];
    PlanRun& known = to_.runs[i];
    const Scenario& s = *point.scenario;
    const int wanted = std::min(steps, s.batch.steps);
    const auto have = static_cast<int>(known.steps.size());
    if (have < wanted && !known.yield.served) {
      try {
        PlanRun more = simulate_plan_point(s, have, wanted, *to_.cache);
        more.steps.insert(more.steps.begin(), known.steps.begin(), known.steps.end());
        known = std::move(more);
      } catch (const UserError& error) {
        point.key = error.diagnostics().front().key;
        point.refusal = error.diagnostics().front().message;
        return std::nullopt;
      }
      if (!known.yield.served) {
        known.yield = yield_of_step(s, mean_step(known.steps));
      } else if (point.money) {
        point.money = at_busy_share(*point.money, s.price, known.yield.served->load.busy);
      }
    }
    PlanScore score = score_of(s, point.money, plan_.search.cost, known.yield);
    score.within = !known.yield.served || serves_within(point, *known.yield.served);
    return score;
  }

  /// Limits of serving that are known once it has run.
  [[nodiscard]] bool serves_within(const PlanPoint& point, const PlanServed& served) const {
    const PlanBudget& b = plan_.budget;
    const auto within = [](double value, double limit) { return limit <= 0 || value <= limit; };
    bool all = served.load.good_tokens > 0 && within(served.tpot_p95, b.tpot.value) &&
               served.slo_ratio >= b.slo_ratio;
    if (point.money) {
      const auto hourly = hourly_of(*point.money, plan_.search.cost);
      all = all && within(point.money->running.power.value, b.power.value) &&
            (!hourly || within(hourly->value, b.hourly.value));
    }
    return all;
  }

  [[nodiscard]] double value(std::size_t candidate) const {
    return to_minimise(to_.search.outcomes[candidate].score, plan_.search.choose);
  }
  [[nodiscard]] const PlanCandidate& candidate_of(std::size_t candidate) const {
    return to_.points.points[to_.ready[candidate]].candidate;
  }

  /// Candidates on another cluster than the choice's; all others where there is none.
  [[nodiscard]] std::vector<std::size_t> others() const {
    const std::vector<std::size_t>& front = to_.search.front;
    const std::size_t mine =
        *std::min_element(front.begin(), front.end(), [&](std::size_t a, std::size_t b) {
          return value(a) < value(b);
        });
    const auto cluster = [&](std::size_t c) -> const std::string& {
      return to_.scenario(to_.ready[c]).cluster.name;
    };
    std::vector<std::size_t> elsewhere;
    std::vector<std::size_t> all;
    for (std::size_t c = 0; c < to_.ready.size(); ++c) {
      if (c == mine) {
        continue;
      }
      all.push_back(c);
      if (cluster(c) != cluster(mine)) {
        elsewhere.push_back(c);
      }
    }
    return elsewhere.empty() ? all : elsewhere;
  }

  /// A search of its own among the others, for search.choose alone. What is simulated already is
  /// its own bound.
  void settle_alternative() {
    std::vector<std::size_t> among;
    std::vector<PlanCandidate> candidates;
    for (const std::size_t c : others()) {
      const PlanOutcome& outcome = to_.search.outcomes[c];
      if (outcome.state == PlanState::kLeftOut || outcome.state == PlanState::kRefused) {
        continue;
      }
      among.push_back(c);
      candidates.push_back(candidate_of(c));
      candidates.back().bound = is_simulated(outcome) ? outcome.score : outcome.bound;
    }
    Progress progress("alternatives settled", !control_.quiet);
    const PlanSearch found =
        search_plan(candidates,
                    [&](std::size_t i, int steps) { return evaluate(to_.ready[among[i]], steps); },
                    {.method = PlanMethod::kBounds,
                     .objectives = {plan_.search.choose},
                     .steps = to_.steps,
                     .threads = control_.threads,
                     .cancelled = &interrupted(),
                     .on_progress = [&](int done, int total) { progress.update(done, total); }});
    for (std::size_t i = 0; i < among.size(); ++i) {
      const PlanOutcome& outcome = found.outcomes[i];
      PlanOutcome& known = to_.search.outcomes[among[i]];
      if (!is_simulated(known) && (is_simulated(outcome) || outcome.state == PlanState::kRefused)) {
        const PlanScore bound = known.bound;
        const bool sharpened = known.sharpened;
        known = outcome;
        known.bound = bound;
        known.sharpened = sharpened;
      }
    }
    to_.search.interrupted = found.interrupted;
    if (!found.front.empty()) {
      to_.alternative = among[found.front.front()];
    }
  }

  static bool is_simulated(const PlanOutcome& outcome) {
    return outcome.state == PlanState::kFeasible || outcome.state == PlanState::kOverLimit;
  }

  const PlanFile& plan_;
  const PlannerControl& control_;
  PlanResult to_;
};

}  // namespace

PlanResult run_plan(const PlanFile& plan, const PlannerControl& control) {
  return Planner(plan, control).run();
}

}  // namespace moesim::cli
