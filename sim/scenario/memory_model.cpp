// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/memory_model.hpp"

#include <fmt/core.h>

#include "sim/core/diagnostics.hpp"
#include "sim/moe/placement.hpp"
#include "sim/scenario/assemble.hpp"

namespace moesim {
namespace {

UserError mistake(std::string key, std::string message) {
  Diagnostic diagnostic;
  diagnostic.key = std::move(key);
  diagnostic.message = std::move(message);
  return UserError({std::move(diagnostic)});
}

/// Of the placement, replicas included.
int slots_per_rank(const Scenario& s) {
  if (s.model.moe_layers > 0 && s.placement.kind == PlacementKind::kFile) {
    return make_placements(s.placement, placement_size(s, s.model.moe_layers), s.seed)
        .front()
        .slots_per_rank();
  }
  const bool replicas = s.placement.kind == PlacementKind::kEplb && s.placement.slots > 0;
  return (replicas ? s.placement.slots : s.model.num_experts) / s.parallel.ep;
}

double in_gigabytes(Bytes size) {
  return size / gigabytes(1);
}

}  // namespace

MemoryModel memory_model(const Scenario& s) {
  if (s.step.kind == StepKind::kMoeLayers) {
    throw mistake("step.kind", "moe_layers is no whole model; set prefill, decode or train");
  }
  if (s.step.kind == StepKind::kServing) {
    throw mistake(
        "step.kind",
        "serving has no bill of one step; moesim run shows its cache, and prefill, decode "
        "or train the bill of theirs");
  }
  return {.model = s.model,
          .parallel = s.parallel,
          .kind = s.step.kind,
          .batch = s.batch,
          .memory = s.memory,
          .dispatcher = s.dispatch.kind,
          .slots_per_rank = slots_per_rank(s),
          .capacity = s.cluster.gpu.memory,
          .overlap = s.step.overlap,
          .schedule = s.step.schedule};
}

void check_memory(const Scenario& scenario) {
  if (scenario.step.kind == StepKind::kMoeLayers) {
    return;
  }
  const MemoryModel model = memory_model(scenario);
  const MemoryBill bill = largest_bill(model);
  if (bill.total() <= model.capacity) {
    return;
  }
  std::string parts;
  for (std::size_t p = 0; p < kNumMemoryParts; ++p) {
    if (bill.parts[p].value > 0) {
      parts += fmt::format("{}{} {:.3g}",
                           parts.empty() ? "" : ", ",
                           memory_part_name(static_cast<MemoryPart>(p)),
                           in_gigabytes(bill.parts[p]));
    }
  }
  throw mistake("cluster.gpu.memory",
                fmt::format("{:.3g} GB do not hold the {:.3g} GB of a rank of stage {}: {} GB; see "
                            "moesim memory",
                            in_gigabytes(model.capacity),
                            in_gigabytes(bill.total()),
                            bill.stage,
                            parts));
}

}  // namespace moesim
