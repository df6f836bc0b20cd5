// SPDX-License-Identifier: Apache-2.0
// Whole models small enough for arithmetic by hand: 4 experts on 2 nodes of 2 GPUs, where every
// token goes to the expert of the same place on the other node.
#pragma once

#include <memory>

#include "sim/step/whole_model.hpp"
#include "tests/step/step_fixtures.hpp"

namespace moesim::testing {

/// Token t of rank r visits the expert of rank (r + shift) mod 4.
class ShiftedRouting : public RoutingSource {
 public:
  ShiftedRouting(int tokens, int shift) : tokens_(tokens), shift_(shift) {
    info_.num_experts = kRanks;
    info_.top_k = 1;
    info_.layers = 100;
  }
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int, int) const override {
    Routing routing{kRanks, 1, {0}, {}, {}};
    for (int r = 0; r < kRanks; ++r) {
      for (int t = 0; t < tokens_; ++t) {
        routing.experts.push_back(static_cast<ExpertIndex>((r + shift_) % kRanks));
      }
      routing.token_begin.push_back(routing.token_begin.back() + tokens_);
    }
    return routing;
  }

 private:
  int tokens_;
  int shift_;
  RoutingSourceInfo info_;
};

/// A GPU whose memory is never in the way, so that a GEMM of whole tiles takes its flops at 100
/// Tflop/s; kernels and exchanges start at once.
inline WholeModel toy_model(int layers, const RoutingSource& routing) {
  WholeModel m;
  ModelShape& shape = m.step.model;
  shape.hidden_size = 1000;
  shape.layers = shape.moe_layers = layers;
  shape.num_experts = kRanks;
  shape.top_k = 1;
  shape.expert_width = 1000;
  shape.vocabulary = 1000;
  shape.attention = {.kind = AttentionKind::kGqa, .heads = 8, .kv_heads = 2, .head_dim = 50};
  ClusterSpec spec = tiny_spec();
  spec.gpu = {.name = "toy",
              .memory = gigabytes(80),
              .memory_bandwidth = {1e20},
              .bf16_rate = teraflops_per_second(100),
              .fp8_rate = teraflops_per_second(200),
              .sms = 100};
  m.step.cluster = build_cluster(spec);
  CostConstants& c = m.step.constants;
  c.gemm_efficiency = c.memory_efficiency = 1;
  c.tile_rows = c.tile_columns = 1;
  c.scale_up_efficiency = c.scale_out_efficiency = 1;
  m.step.dispatch.kind = DispatcherKind::kLowLatency;
  m.step.ranks = kRanks;
  m.step.layers = layers;
  m.step.routing = &routing;
  m.step.placements.assign(static_cast<std::size_t>(layers), contiguous_placement(kRanks, kRanks));
  m.parallel = {.ep = kRanks};
  m.batch = {.tokens_per_rank = 1000, .steps = 1, .context_tokens = 1000};
  return m;
}

/// Makes of toy_model() one of 4 layers on 4 stages of 4 ranks, 8 micro-batches in pairs.
inline void set_four_stages(WholeModel& m) {
  m.step.model.layers = m.step.model.moe_layers = m.step.layers = 4;
  ClusterSpec spec = tiny_spec();
  spec.nodes = 8;
  const GpuSpec gpu = m.step.cluster.gpu;
  m.step.cluster = build_cluster(spec);
  m.step.cluster.gpu = gpu;
  m.parallel = {.ep = 4, .pp = 4};
  m.step.placements.assign(4, contiguous_placement(kRanks, kRanks));
  m.batch.micro_batches = 8;
  m.overlap = Overlap::kDualPipe;
}

}  // namespace moesim::testing
