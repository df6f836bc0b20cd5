// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/gpu_backend.hpp"

#include <fmt/core.h>

#include <stdexcept>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {
namespace {

using gpu_ref::CapacityRule;
using gpu_ref::LayerSpec;

/// The layer on a GPU drops in token order by rank or group; it has nothing else yet.
CapacityRule rule_of(const CapacitySpec& capacity) {
  const bool none = capacity.policy == OverflowPolicy::kNone;
  const bool group = capacity.scope == CapacityScope::kGroup && capacity.micro_batches == 1;
  const bool plain_drop = capacity.policy == OverflowPolicy::kDrop && !capacity.has_caps() &&
                          capacity.order == ServiceOrder::kToken &&
                          (capacity.scope == CapacityScope::kRank || group);
  if (!none && !plain_drop) {
    throw UserError(
        "--backend gpu: the layer on a GPU knows capacity.policy none, and drop in token order, "
        "without caps, in scope rank or in scope group of one micro-batch");
  }
  CapacityRule rule;
  rule.overflow = capacity.policy == OverflowPolicy::kDrop ? gpu_ref::Overflow::kDrop
                                                           : gpu_ref::Overflow::kNone;
  rule.factor = capacity.factor;
  rule.scope = capacity.scope == CapacityScope::kGroup ? gpu_ref::OverflowScope::kGroup
                                                       : gpu_ref::OverflowScope::kRank;
  return rule;
}

/// Slots counted up rank by rank, as the GPU layer numbers them; by expert.
std::vector<std::int32_t> slots_in_rank_order(const Placement& placement) {
  if (placement.has_replicas()) {
    throw UserError(
        fmt::format("--backend gpu: the layer on a GPU has one slot an expert; the placement has "
                    "{} slots for {} "
                    "experts",
                    placement.num_slots(),
                    placement.num_experts()));
  }
  const int per_rank = placement.num_slots() / placement.num_ranks;
  std::vector<std::int32_t> next(static_cast<std::size_t>(placement.num_ranks));
  std::vector<std::int32_t> slot_of_expert(placement.expert_of_slot.size());
  for (std::size_t s = 0; s < placement.rank_of_slot.size(); ++s) {
    const RankId rank = placement.rank_of_slot[s];
    slot_of_expert[placement.expert_of_slot[s].index()] =
        rank.value * per_rank + next[rank.index()]++;
  }
  return slot_of_expert;
}

LayerSpec spec_of(const StepModel& model, int layer) {
  const ModelShape& shape = model.model;
  LayerSpec spec;
  spec.shape = {.hidden = shape.hidden_size,
                .expert_width = shape.expert_width,
                .num_experts = shape.num_experts,
                .top_k = shape.top_k,
                .shared_width = shape.shared_experts * shape.shared_expert_width};
  spec.capacity = rule_of(model.capacity);
  spec.precision =
      shape.weight_dtype == Dtype::kFp8 ? gpu_ref::Precision::kFp8 : gpu_ref::Precision::kBf16;
  spec.ranks = model.ranks;
  spec.slot_of_expert = slots_in_rank_order(model.placements[static_cast<std::size_t>(layer)]);
  return spec;
}

void check_experts(const StepModel& model, measure::LayerMeter& meter) {
  const ModelShape& shape = model.model;
  if (!shape.expert_gated) {
    throw UserError("model.expert_gated: false; the GPU layer has gated experts only");
  }
  if (shape.weight_dtype != Dtype::kFp8) {
    return;
  }
  if (shape.hidden_size % 128 != 0 || shape.expert_width % 128 != 0) {
    throw UserError(
        "model.weight_dtype: fp8 on GPUs needs model.hidden_size and model.expert_width in "
        "multiples of 128; set bf16");
  }
  if (!meter.offers_fp8()) {
    throw UserError(fmt::format(
        "model.weight_dtype: cuBLASLt has no fp8 GEMM with block scales on {}; set bf16",
        meter.device()));
  }
}

std::vector<std::string> model_notes(const ModelShape& shape) {
  std::vector<std::string> notes;
  if (shape.weight_dtype == Dtype::kMxfp4) {
    notes.emplace_back("weights are bf16 on the GPU: the reference layer has no mxfp4");
  }
  if (shape.weight_dtype != Dtype::kFp8 && shape.dispatch_dtype != Dtype::kBf16) {
    notes.emplace_back("the dispatch carries bf16 rows on the GPU");
  }
  if (shape.expert_biases) {
    notes.emplace_back("expert biases are left out on the GPU");
  }
  return notes;
}

/// Both backends must have accepted the same assignments.
void check_same_load(const LayerResult& load, const std::vector<measure::MeasuredRank>& ranks) {
  MOESIM_CHECK(load.rank_tokens.size() == ranks.size(), "a result for every rank");
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    MOESIM_CHECK(load.rank_tokens[r] == ranks[r].kept,
                 "simulator and GPU layer accept the same assignments");
  }
}

GpuLayer measure_layer(const StepModel& model, int step, int layer, measure::LayerMeter& meter) {
  const LayerResult load = prepare_layer(model, step, layer).result;
  const std::vector<measure::MeasuredRank> ranks = meter.measure(routed_layer(model, step, layer));
  check_same_load(load, ranks);
  GpuLayer measured = summarise_ranks(layer, ranks);
  measured.load = load;
  return measured;
}

}  // namespace

measure::RoutedLayer routed_layer(const StepModel& model, int step, int layer) {
  const Routing routing = model.routing->route(step, layer);
  measure::RoutedLayer routed;
  routed.spec = spec_of(model, layer);
  routed.token_begin = routing.token_begin;
  routed.experts.assign(routing.experts.begin(), routing.experts.end());
  routed.weights = routing.weights;
  return routed;
}

GpuReport measure_scenario(const StepModel& model,
                           int steps,
                           RunReport head,
                           measure::LayerMeter& meter,
                           const GpuControl& control) {
  check_experts(model, meter);
  GpuReport report;
  report.head = std::move(head);
  for (const std::string& note : model_notes(model.model)) {
    report.head.notes.push_back(note);
  }
  report.device = meter.device();
  report.gpus = meter.gpus();
  report.ranks = model.ranks;
  report.network = model.ranks > 1 && model.ranks <= meter.gpus();
  for (int step = 0; step < steps; ++step) {
    report.steps.emplace_back();
    for (int layer = 0; layer < model.layers; ++layer) {
      if (control.cancelled != nullptr && control.cancelled->load()) {
        throw Cancelled();
      }
      try {
        report.steps.back().push_back(measure_layer(model, step, layer, meter));
      } catch (const std::invalid_argument& reason) {
        throw UserError(fmt::format("the GPU backend has no such layer: {}", reason.what()));
      }
      if (control.on_progress) {
        control.on_progress(step * model.layers + layer + 1, steps * model.layers);
      }
    }
  }
  return report;
}

}  // namespace moesim::cli
