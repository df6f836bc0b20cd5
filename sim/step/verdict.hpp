// SPDX-License-Identifier: Apache-2.0
// Whether a change of placement pays, from paired step times.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "sim/core/units.hpp"

namespace moesim {

enum class VerdictKind { kTry, kSkip, kUnknown };

/// The numbers behind a verdict.
struct Verdict {
  VerdictKind kind = VerdictKind::kUnknown;
  double gain_s = 0.0;                     ///< mean step time saved
  double half_width_s = 0.0;               ///< of its 95 % interval; infinite with one step
  double needed_s = 0.0;                   ///< gain that pays for the stall within the horizon
  std::optional<double> break_even_steps;  ///< stall / gain; none without a gain
  /// kUnknown: judged steps that would settle it, if gain and spread stay; none when they cannot.
  std::optional<double> steps_to_settle;
};

/// d[i] = before[i] - after[i] (same step, same routing), n of them, stall S, horizon H steps:
///   gain = mean(d), half width w = t(0.975, n - 1) * sd(d) / sqrt(n), needed = S / H
///   try      gain - w > needed        skip  gain + w <= needed        else unknown
///   break even = S / gain (gain > 0);  to settle: n * (w / |gain - needed|)^2
/// Source: paired Student t interval. Valid for: steps that vary independently; a trace that drifts
/// has wider true intervals (see the gain by window). Checked by: verdict_test (by hand).
/// @pre as many of both, at least one; horizon > 0
[[nodiscard]] Verdict judge_change(std::span<const double> before_s,
                                   std::span<const double> after_s,
                                   Seconds stall,
                                   double horizon_steps);

}  // namespace moesim
