// SPDX-License-Identifier: Apache-2.0
// What a RankLayer holds: buffers by what lies in them. Private to layer/.
#pragma once

#include <deque>
#include <optional>

#include "gpu_ref/device/blas.hpp"
#include "gpu_ref/device/buffer.hpp"
#include "gpu_ref/layer/rank_layer.hpp"
#include "gpu_ref/ops/combine.hpp"
#include "gpu_ref/ops/fp8_gemm.hpp"
#include "gpu_ref/ops/gate.hpp"
#include "gpu_ref/ops/grouped_gemm.hpp"
#include "gpu_ref/ops/swiglu.hpp"
#include "gpu_ref/ops/topk.hpp"
#include "sim/core/check.hpp"

namespace moesim::gpu_ref {

/// FP8 rows with their scales.
struct QuantisedRows {
  DeviceBuffer<Fp8> values;
  DeviceBuffer<float> scales;
};

enum class Phase {
  kFresh,
  kChosen,
  kPlanned,
  kDispatched,
  kExperts,
  kCombined,
  kCombineBackward,
  kExpertsBackward,
};

struct RankLayer::State {
  State(const LayerSpec& layer_spec,
        int own_rank,
        const RankWeights& rank_weights,
        StreamHandle stream)
      : spec(layer_spec), rank(own_rank), weights(rank_weights), blas(stream) {}

  LayerSpec spec;
  int rank = 0;
  RankWeights weights;
  Blas blas;
  StageClock* clock = nullptr;
  Phase phase = Phase::kFresh;

  // The tokens of this pass.
  const Bf16* x = nullptr;
  const Bf16* d_out = nullptr;
  std::int64_t num_tokens = 0;
  bool routing_given = false;
  RankPlan plan;

  // Gate and places.
  DeviceBuffer<float> logits, scores, choice, normaliser, token_weights, mean_scores, losses;
  DeviceBuffer<std::int32_t> experts, chunk_begins, counts, quota, row_begin, row_of_assignment;
  DeviceBuffer<std::uint32_t> tried;

  // Rows, by the order they lie in.
  DeviceBuffer<Bf16> sent, received, expert_x, gate_up, activated, expert_y, returning, returned;
  DeviceBuffer<RowRun> runs;
  DeviceBuffer<std::int32_t> index;  // expert order -> receive order
  std::optional<GroupedGemm> gate_up_gemm, down_gemm;

  // FP8.
  QuantisedRows token_q, sent_q, received_q, expert_q, activated_q, gate_up_q, down_q;
  DeviceBuffer<float> expert_scales, activated_scales;  // in cuBLASLt's order
  DeviceBuffer<std::int64_t> expert_row_begin;
  std::optional<Fp8GroupedGemm> gate_up_fp8, down_fp8;

  // Shared expert.
  DeviceBuffer<Bf16> shared_gate_up, shared_activated, shared_y;
  std::optional<GroupedGemm> shared_gate_up_gemm, shared_down_gemm;

  // Gradients, named after what they are the gradient of.
  DeviceBuffer<Bf16> d_returned, d_returning, d_expert_y, d_activated, d_gate_up, d_expert_x;
  DeviceBuffer<Bf16> d_received, d_sent, d_tokens, d_logits, d_shared_activated, d_shared_gate_up;
  DeviceBuffer<float> d_weights;
  std::deque<GroupedGemm> backward_gemms;  // of the last pass: their work may still be under way

  [[nodiscard]] StreamHandle stream() const { return blas.stream(); }
  [[nodiscard]] int hidden() const { return spec.shape.hidden; }
  [[nodiscard]] int row_bytes() const { return spec.shape.hidden * static_cast<int>(sizeof(Bf16)); }
  [[nodiscard]] bool is_fp8() const { return spec.precision == Precision::kFp8; }
  [[nodiscard]] bool has_shared() const { return spec.shape.shared_width > 0; }
  [[nodiscard]] TopkShape topk_shape() const {
    return {num_tokens, spec.shape.num_experts, spec.shape.top_k};
  }
  [[nodiscard]] GateShape gate_shape() const {
    return {num_tokens, spec.shape.hidden, spec.shape.num_experts, false};
  }
  [[nodiscard]] CombineShape combine_shape() const {
    return {num_tokens, spec.shape.top_k, spec.shape.hidden};
  }
  [[nodiscard]] GroupedShape gate_up_shape() const {
    return {plan.expert_row_begin, 2 * spec.shape.expert_width, spec.shape.hidden};
  }
  [[nodiscard]] GroupedShape down_shape() const {
    return {plan.expert_row_begin, spec.shape.hidden, spec.shape.expert_width};
  }
  [[nodiscard]] SwigluShape swiglu_shape() const {
    return {plan.expert_rows(), spec.shape.expert_width};
  }
  [[nodiscard]] SwigluShape shared_swiglu_shape() const {
    return {num_tokens, spec.shape.shared_width};
  }

  /// Rows of `width` elements: enough room in the buffer.
  template <typename T>
  static void reserve_rows(DeviceBuffer<T>& buffer, std::int64_t rows, std::int64_t width) {
    buffer.reserve(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width));
  }

  /// Runs the work of a stage between two events, if there is a clock.
  template <typename Work>
  void timed(Stage stage, const Work& work) {
    if (clock != nullptr) {
      clock->start(stage, stream());
    }
    work();
    if (clock != nullptr) {
      clock->stop(stream());
    }
  }

  // rank_layer.cpp
  void reserve_gate();
  void run_gate();
  void take_routing(const GivenRouting& given);
  void settle_choice();
  void choose(const Bf16* tokens, std::int64_t count, const GivenRouting* given);
  // rank_forward.cpp
  void reserve_rows_of_plan();
  void plan_gemms();
  void spread();
  void spread_fp8();
  void regroup();
  void regroup_fp8();
  void run_shared();
  // rank_backward.cpp
  void shared_backward(const RankGradients& gradients);
  void gate_backward(const RankGradients& gradients);

  void require(Phase at_least) const {
    MOESIM_CHECK(phase >= at_least, "the phases of a layer run in order");
  }
};

}  // namespace moesim::gpu_ref
