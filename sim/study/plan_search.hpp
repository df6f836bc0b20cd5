// SPDX-License-Identifier: Apache-2.0
// Which of many configurations are worth having: the Pareto front of simulated scores, without
// simulating what bounds already rule out. Knows nothing of scenarios: a callback simulates.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace moesim {

/// What a configuration yields.
struct PlanScore {
  double throughput = 0;  ///< tokens/s a GPU; more is better
  double latency = 0;     ///< s; less is better
  double cost = 0;        ///< USD for a million tokens; less is better
  bool within = true;     ///< limits that these three do not show
};

enum class PlanObjective : std::uint8_t { kThroughput, kLatency, kCost };

/// The value to make small: -throughput, latency or cost.
[[nodiscard]] double to_minimise(const PlanScore& score, PlanObjective objective);

/// a is no worse than b in every objective and better in one.
[[nodiscard]] bool dominates(const PlanScore& a,
                             const PlanScore& b,
                             std::span<const PlanObjective> objectives);

/// Largest latency and cost, smallest throughput that will do.
struct PlanLimits {
  double throughput = 0;
  double latency = std::numeric_limits<double>::infinity();
  double cost = std::numeric_limits<double>::infinity();

  [[nodiscard]] bool admits(const PlanScore& score) const {
    return score.within && score.throughput >= throughput && score.latency <= latency &&
           score.cost <= cost;
  }
};

enum class PlanMethod : std::uint8_t {
  kExhaustive,  ///< simulates everything
  kBounds,      ///< leaves out what a bound proves useless: the same front
  kHalving,     ///< and drops the worse half after short runs: may lose points of the front
};
/// In the order of PlanMethod.
inline constexpr std::array<std::string_view, 3> kPlanMethods = {"exhaustive", "bounds", "halving"};

enum class PlanState : std::uint8_t {
  kNotReached,      ///< interrupted before
  kFeasible,        ///< simulated, within the limits
  kOverLimit,       ///< simulated, beyond a limit
  kBoundOverLimit,  ///< not simulated: even its bound is beyond a limit
  kDominated,       ///< not simulated: a feasible configuration dominates even its bound
  kLeftOut,         ///< by halving, on the estimate of a short run
  kRefused,         ///< the simulation was refused
};

struct PlanOutcome {
  PlanState state = PlanState::kNotReached;
  PlanScore score;         ///< kFeasible, kOverLimit; of the short run for kLeftOut
  int steps = 0;           ///< simulated for it
  std::size_t by = 0;      ///< kDominated: the configuration that dominates it
  PlanScore bound = {};    ///< what it was known not to exceed
  bool sharpened = false;  ///< `bound` is PlanControl::sharpen's
};

/// One configuration before it is simulated.
struct PlanCandidate {
  PlanScore bound;  ///< no simulation of it is better in any objective
  PlanLimits limits;
};

struct PlanControl {
  PlanMethod method = PlanMethod::kBounds;
  std::vector<PlanObjective> objectives;           ///< not empty
  int steps = 1;                                   ///< of a whole simulation
  int threads = 0;                                 ///< 0: all cores
  const std::atomic<bool>* cancelled = nullptr;    ///< set: what is known so far is kept
  std::function<void(int, int)> on_progress = {};  ///< configurations settled, all; one at a time
  /// A second bound (none: not of this one), dearer than the first and no simulation; may be empty.
  /// Asked once for each configuration that the first one leaves, from any thread. May throw
  /// Cancelled.
  std::function<std::optional<PlanScore>(std::size_t)> sharpen = {};
};

/// The score of a configuration over the first `steps` steps; none: it is refused. Called from any
/// thread. May throw Cancelled (replay.hpp).
using EvaluatePlan = std::function<std::optional<PlanScore>(std::size_t, int steps)>;

struct PlanSearch {
  std::vector<PlanOutcome> outcomes;  ///< by configuration
  std::vector<std::size_t> front;     ///< feasible ones that no feasible one dominates, ascending
  std::int64_t steps_simulated = 0;
  bool interrupted = false;
};

/// A configuration is left out when its bound is beyond a limit, or when a feasible score
/// dominates its bound. Both are proofs: what it would yield is no better than the bound, so it is
/// beyond the limit, or dominated, as well. So kBounds gives the front of kExhaustive. A
/// simulation that beats its bound is our bug and ends the search.
/// Order: the best bound of each objective in turn. Configurations are simulated kPlanWave at a
/// time and pruned between waves, so the result does not depend on the number of threads. Where a
/// second bound is given, it is taken of the configurations of a wave before they are simulated.
/// kHalving: every survivor runs 1, 2, 4, ... steps; after each rung but the last the better half
/// stays, by non-dominated rank (first front always), those beyond a limit last.
/// Checked by: plan_search_test (INV-10: front of kBounds = front of kExhaustive).
[[nodiscard]] PlanSearch search_plan(std::span<const PlanCandidate> candidates,
                                     const EvaluatePlan& evaluate,
                                     const PlanControl& control);

inline constexpr std::size_t kPlanWave = 8;

/// Factor in [1, end] or [end, 1] at which `value` crosses `target`, to 1 %, by bisection of the
/// logarithm; none when it does not cross up to `end`. `value` is monotone in the factor.
[[nodiscard]] std::optional<double> crossing(const std::function<double(double)>& value,
                                             double target,
                                             double end);

}  // namespace moesim
