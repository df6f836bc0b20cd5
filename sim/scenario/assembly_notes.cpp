// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/assembly_notes.hpp"

#include <fmt/core.h>

#include <string_view>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

std::string_view overlap_note(Overlap overlap) {
  switch (overlap) {
    case Overlap::kNone:
      return "nothing overlaps";
    case Overlap::kTwoBatch:
      return "two halves of the batch take turns";
    case Overlap::kSharedExpert:
      return "shared experts run beside the dispatch";
    case Overlap::kDualPipe:
      return "forward passes run beside backward passes";
  }
  MOESIM_CHECK(false, "unknown overlap");
}

}  // namespace

void note_calibration(const CostConstants& c, std::vector<std::string>& notes) {
  const bool experts = c.expert_fit.is_fitted();
  const bool communication = c.communication_fit.is_fitted();
  const bool assumed = c.evidence == Evidence::kAssumed;
  if (!experts && !communication && assumed) {
    notes.emplace_back(
        "cost constants are assumed, not measured: compare scenarios, do not quote times");
  }
  const auto note_part = [&](const char* part, const FitRecord& fit) {
    if (fit.is_fitted()) {
      notes.push_back(fmt::format("{}: constants of {}, {}", part, fit.kernel, c.source));
    } else if (assumed && (experts || communication)) {
      notes.push_back(fmt::format("{}: constants are assumed, not measured", part));
    }
  };
  note_part("experts", c.expert_fit);
  note_part("dispatch and combine", c.communication_fit);
}

void note_whole_model(const Scenario& scenario, std::vector<std::string>& notes) {
  const CostConstants& c = scenario.calibration;
  const bool own = c.dense_bf16.gemm_efficiency > 0 || c.attention.prefill_efficiency > 0;
  notes.push_back(fmt::format("attention, dense layers and head use {}; {}",
                              own ? "calibration.dense_bf16, dense_fp8 and attention"
                                  : "the constants of the experts' GEMMs and of memory",
                              overlap_note(scenario.step.overlap)));
  if (scenario.step.host_layer.value > 0) {
    notes.push_back(fmt::format(
        "a pass takes no less than the host needs to issue it: step.host_layer = {:g} ms for a "
        "layer forwards, twice that backwards",
        scenario.step.host_layer.value * 1e3));
  }
  if (scenario.step.kind == StepKind::kTrain) {
    notes.emplace_back(
        "backward passes are assumed to take twice the forward time (2.5 times in the core of "
        "attention)");
  }
  if (scenario.model.moe_layers == 0) {
    notes.emplace_back(
        "a dense model: [routing], [capacity], [placement] and [dispatch] say nothing");
  }
}

}  // namespace moesim
