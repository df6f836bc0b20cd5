// SPDX-License-Identifier: Apache-2.0
#include "sim/step/evidence.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace moesim {
namespace {

enum Phase : std::size_t { kGatePhase, kDispatchPhase, kExpertsPhase, kCombinePhase, kNumPhases };
constexpr std::array<const char*, kNumPhases> kPhaseNames = {
    "gate", "dispatch", "experts", "combine"};

/// Smallest and largest of what a run fed a cost model with.
struct Seen {
  double min = 0;
  double max = 0;
  bool any = false;

  void add(double value) {
    min = any ? std::min(min, value) : value;
    max = any ? std::max(max, value) : value;
    any = true;
  }
};

void check_range(PhaseEvidence& phase, const char* what, Seen seen, Covered covered) {
  for (const double value : {seen.min, seen.max}) {
    if (seen.any && covered.max > 0 && !covered.holds(value)) {
      phase.out.push_back(fmt::format("{}: {} {}; \"{}\" was fitted from {} to {}",
                                      phase.phase,
                                      what,
                                      value,
                                      phase.kernel,
                                      covered.min,
                                      covered.max));
      return;
    }
  }
}

void check_weights(PhaseEvidence& phase, Dtype weights, const std::vector<std::string>& fitted) {
  const std::string_view name = to_text(weights);
  if (!fitted.empty() && std::find(fitted.begin(), fitted.end(), name) == fitted.end()) {
    phase.out.push_back(fmt::format("{}: {} weights; \"{}\" was fitted to {}",
                                    phase.phase,
                                    name,
                                    phase.kernel,
                                    fmt::join(fitted, ", ")));
  }
}

PhaseEvidence start_phase(Phase which, const FitRecord& fit, Evidence unfitted) {
  PhaseEvidence phase;
  phase.phase = kPhaseNames[which];
  phase.grade = unfitted;
  if (fit.is_fitted()) {
    phase.kernel = fit.kernel;
    phase.band = Band{fit.spread_p10, fit.spread_p90};
  }
  return phase;
}

void grade_by_ranges(PhaseEvidence& phase) {
  if (phase.band) {
    phase.grade = phase.out.empty() ? Evidence::kInterpolated : Evidence::kExtrapolated;
  }
}

PhaseEvidence judge_experts(const StepModel& model, std::span<const StepResult> steps) {
  const FitRecord& fit = model.constants.expert_fit;
  PhaseEvidence phase = start_phase(kExpertsPhase, fit, model.constants.evidence);
  if (!fit.is_fitted()) {
    return phase;
  }
  Seen rows;
  for (const StepResult& step : steps) {
    for (const LayerResult& layer : step.layers) {
      for (const std::int64_t tokens : layer.rank_tokens) {
        if (tokens > 0) {
          rows.add(static_cast<double>(tokens));
        }
      }
    }
  }
  const double per_rank = static_cast<double>(model.model.num_experts) / model.ranks;
  check_range(phase, "rows on a rank", rows, fit.rows);
  check_range(phase, "experts on a rank", {per_rank, per_rank, true}, fit.slots);
  const auto single = [](int value) {
    return Seen{static_cast<double>(value), static_cast<double>(value), true};
  };
  check_range(phase, "hidden size", single(model.model.hidden_size), fit.hidden);
  check_range(phase, "expert width", single(model.model.expert_width), fit.width);
  check_weights(phase, model.model.weight_dtype, fit.weight_dtypes);
  grade_by_ranges(phase);
  return phase;
}

PhaseEvidence judge_communication(Phase which,
                                  const StepModel& model,
                                  std::span<const StepResult> steps) {
  const FitRecord& fit = model.constants.communication_fit;
  PhaseEvidence phase = start_phase(which, fit, model.constants.evidence);
  if (!fit.is_fitted()) {
    return phase;
  }
  Seen sent;
  for (const StepResult& step : steps) {
    for (const LayerResult& layer : step.layers) {
      const std::int64_t bytes =
          which == kCombinePhase ? layer.combine_bytes : layer.dispatch_bytes;
      if (bytes > 0) {
        sent.add(static_cast<double>(bytes) / model.ranks);
      }
    }
  }
  const auto single = [](int value) {
    return Seen{static_cast<double>(value), static_cast<double>(value), true};
  };
  check_range(phase, "bytes sent by a rank", sent, fit.rows);
  check_range(phase, "ranks", single(model.ranks), fit.slots);
  check_range(phase, "hidden size", single(model.model.hidden_size), fit.hidden);
  const GpuPlace& last = model.cluster.place(GpuId{model.ranks - 1});
  check_range(phase, "scale-up domains", single(last.domain + 1), fit.width);
  grade_by_ranges(phase);
  return phase;
}

PhaseEvidence judge_gate(const StepModel& model) {
  PhaseEvidence phase =
      start_phase(kGatePhase, model.constants.expert_fit, model.constants.evidence);
  if (phase.band) {
    phase.grade = Evidence::kExtrapolated;
  }
  return phase;
}

/// Which phase a part of the critical path belongs to.
Phase phase_of(Part part) {
  switch (part) {
    case Part::kGate:
    case Part::kStraggler:
      return kGatePhase;
    case Part::kExperts:
    case Part::kHotExpert:
      return kExpertsPhase;
    case Part::kCombine:
      return kCombinePhase;
    default:
      return kDispatchPhase;
  }
}

std::array<double, kNumPhases> shares(std::span<const StepResult> steps) {
  std::array<double, kNumPhases> seconds{};
  double all = 0;
  for (const StepResult& step : steps) {
    for (std::size_t p = 0; p < kNumParts; ++p) {
      const double part = step.parts[p].to_seconds().value;
      seconds[phase_of(static_cast<Part>(p))] += part;
      all += part;
    }
  }
  for (double& share : seconds) {
    share = all > 0 ? share / all : 0;
  }
  return seconds;
}

}  // namespace

StepEvidence judge(const StepModel& model, std::span<const StepResult> steps) {
  StepEvidence result;
  result.phases = {judge_gate(model),
                   judge_communication(kDispatchPhase, model, steps),
                   judge_experts(model, steps),
                   judge_communication(kCombinePhase, model, steps)};
  const std::array<double, kNumPhases> share = shares(steps);
  result.grade = Evidence::kMeasured;
  result.band = Band{0, 0};
  for (std::size_t i = 0; i < kNumPhases; ++i) {
    const PhaseEvidence& phase = result.phases[i];
    const bool matters = share[i] >= kPartThatMatters;
    result.grade = matters ? std::max(result.grade, phase.grade) : result.grade;
    if (matters && !phase.band) {
      result.band.reset();
    } else if (result.band) {
      const Band band = phase.band.value_or(Band{});
      result.band->p10 += share[i] * band.p10;
      result.band->p90 += share[i] * band.p90;
    }
  }
  return result;
}

}  // namespace moesim
