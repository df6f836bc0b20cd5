// SPDX-License-Identifier: Apache-2.0
// How far a result may be believed: a grade for each phase and for the step, and the band that the
// spread of the measurements behind it leaves.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/moe/expert_cost.hpp"
#include "sim/step/result.hpp"
#include "sim/step/step.hpp"

namespace moesim {

/// P10 and P90 of measured / predicted.
struct Band {
  double p10 = 1;
  double p90 = 1;
};

/// One phase (gate, dispatch, experts, combine) of a run.
struct PhaseEvidence {
  std::string phase;
  Evidence grade = Evidence::kAssumed;
  std::string kernel;            ///< whose fit, "" without one
  std::optional<Band> band;      ///< none where nothing was measured
  std::vector<std::string> out;  ///< inputs outside the fitted range, one sentence each
};

/// The step as a whole.
struct StepEvidence {
  std::vector<PhaseEvidence> phases;  ///< gate, dispatch, experts, combine
  Evidence grade = Evidence::kAssumed;
  std::optional<Band> band;  ///< of the step time
};

/// A part of the critical path matters to the grade from this share on.
inline constexpr double kPartThatMatters = 0.01;

/// Grades a run.
///
/// experts      fitted and all inputs inside the fit's ranges: interpolated; outside: extrapolated;
///              no fit: the constants' own word
/// dispatch, combine  the same with the communication fit
/// gate         at best extrapolated: the experts' constants, another kernel
/// step         the weakest phase that holds kPartThatMatters of the critical path or more; its
/// band
///              adds the parts up as if all were off in the same direction:
///   ratio_q = sum over phases of share * ratio_q(phase),   q in {P10, P90}
/// and is absent when a phase that matters has none.
/// Source: DESIGN 5.8. Valid for: spreads that do not depend on the input. Errors of different
/// kernels are not independent, so they are not added in squares.
/// Checked by: evidence_test.
[[nodiscard]] StepEvidence judge(const StepModel& model, std::span<const StepResult> steps);

}  // namespace moesim
