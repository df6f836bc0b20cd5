// SPDX-License-Identifier: Apache-2.0
// The backward phases of a rank. GEMMs are planned here, outside of the timed stages, since they
// need to know where the gradients go.
#include <array>
#include <stdexcept>

#include "gpu_ref/layer/rank_state.hpp"

namespace moesim::gpu_ref {

void RankLayer::combine_backward(const Bf16* d_out) {
  State& s = *state_;
  s.require(Phase::kCombined);
  if (s.is_fp8()) {
    throw std::invalid_argument("layer: the backward pass is in bf16 only");
  }
  State::reserve_rows(s.d_returned, s.plan.send_rows, s.hidden());
  State::reserve_rows(s.d_returning, s.plan.receive_rows, s.hidden());
  State::reserve_rows(s.d_received, s.plan.receive_rows, s.hidden());
  State::reserve_rows(s.d_sent, s.plan.send_rows, s.hidden());
  State::reserve_rows(s.d_weights, s.num_tokens, s.spec.shape.top_k);
  s.timed(Stage::kCombineBackward, [&] {
    combine_rows_backward(
        d_out,
        {s.returned.data(), s.row_of_assignment.data(), s.token_weights.data(), nullptr},
        s.d_returned.data(),
        s.d_weights.data(),
        s.combine_shape(),
        s.stream());
  });
  s.d_out = d_out;
  s.phase = Phase::kCombineBackward;
}

void RankLayer::experts_backward(const RankGradients& gradients) {
  State& s = *state_;
  s.require(Phase::kCombineBackward);
  const std::int64_t rows = s.plan.expert_rows();
  const int width = s.spec.shape.expert_width;
  State::reserve_rows(s.d_expert_y, rows, s.hidden());
  State::reserve_rows(s.d_activated, rows, width);
  State::reserve_rows(s.d_gate_up, rows, std::int64_t{2} * width);
  State::reserve_rows(s.d_expert_x, rows, s.hidden());
  const auto gemm = [&](GemmPass pass, const GroupedShape& shape, const GroupedOperands& operands) {
    return &s.backward_gemms.emplace_back(s.blas, pass, shape, operands);
  };
  const GroupedGemm* const down_dgrad =
      gemm(GemmPass::kInputGradient,
           s.down_shape(),
           {s.weights.down, s.d_activated.data(), s.d_expert_y.data()});
  const GroupedGemm* const down_wgrad =
      gemm(GemmPass::kWeightGradient,
           s.down_shape(),
           {gradients.down, s.activated.data(), s.d_expert_y.data()});
  const GroupedGemm* const gate_up_dgrad =
      gemm(GemmPass::kInputGradient,
           s.gate_up_shape(),
           {s.weights.gate_up, s.d_expert_x.data(), s.d_gate_up.data()});
  const GroupedGemm* const gate_up_wgrad =
      gemm(GemmPass::kWeightGradient,
           s.gate_up_shape(),
           {gradients.gate_up, s.expert_x.data(), s.d_gate_up.data()});
  const RowsShape moved{rows, s.row_bytes()};
  s.timed(Stage::kRegroupBackward, [&] {
    gather_rows(s.d_returning.data(), s.index.data(), s.d_expert_y.data(), moved, s.stream());
  });
  s.timed(Stage::kDownBackward, [&] {
    down_dgrad->run(s.blas);
    down_wgrad->run(s.blas);
  });
  s.timed(Stage::kActivationBackward, [&] {
    swiglu_backward(
        s.gate_up.data(), s.d_activated.data(), s.d_gate_up.data(), s.swiglu_shape(), s.stream());
  });
  s.timed(Stage::kGateUpBackward, [&] {
    gate_up_dgrad->run(s.blas);
    gate_up_wgrad->run(s.blas);
  });
  s.timed(Stage::kUngroupBackward, [&] {
    scatter_rows(s.d_expert_x.data(), s.index.data(), s.d_received.data(), moved, s.stream());
  });
  s.phase = Phase::kExpertsBackward;
}

/// d_tokens = the gradient of x through the shared expert.
void RankLayer::State::shared_backward(const RankGradients& gradients) {
  const int width = spec.shape.shared_width;
  reserve_rows(d_shared_activated, num_tokens, width);
  reserve_rows(d_shared_gate_up, num_tokens, std::int64_t{2} * width);
  const std::array<std::int64_t, 2> rows = {0, num_tokens};
  const GroupedShape up_shape{rows, 2 * width, hidden()};
  const GroupedShape shared_down_shape{rows, hidden(), width};
  // Only read: the operands of a pass have one type for both directions.
  Bf16* slope = const_cast<Bf16*>(d_out);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  Bf16* tokens = const_cast<Bf16*>(x);     // NOLINT(cppcoreguidelines-pro-type-const-cast)
  const GroupedGemm& down_dgrad = backward_gemms.emplace_back(
      blas,
      GemmPass::kInputGradient,
      shared_down_shape,
      GroupedOperands{weights.shared_down, d_shared_activated.data(), slope});
  const GroupedGemm& down_wgrad = backward_gemms.emplace_back(
      blas,
      GemmPass::kWeightGradient,
      shared_down_shape,
      GroupedOperands{gradients.shared_down, shared_activated.data(), slope});
  const GroupedGemm& up_dgrad = backward_gemms.emplace_back(
      blas,
      GemmPass::kInputGradient,
      up_shape,
      GroupedOperands{weights.shared_gate_up, d_tokens.data(), d_shared_gate_up.data()});
  const GroupedGemm& up_wgrad = backward_gemms.emplace_back(
      blas,
      GemmPass::kWeightGradient,
      up_shape,
      GroupedOperands{gradients.shared_gate_up, tokens, d_shared_gate_up.data()});
  timed(Stage::kSharedBackward, [&] {
    down_dgrad.run(blas);
    down_wgrad.run(blas);
    swiglu_backward(shared_gate_up.data(),
                    d_shared_activated.data(),
                    d_shared_gate_up.data(),
                    shared_swiglu_shape(),
                    stream());
    up_dgrad.run(blas);
    up_wgrad.run(blas);
  });
}

/// d_tokens (+)= the gradient of x through the gate.
void RankLayer::State::gate_backward(const RankGradients& gradients) {
  reserve_rows(d_logits, num_tokens, spec.shape.num_experts);
  GateShape shape = gate_shape();
  shape.accumulate = has_shared();
  timed(Stage::kGateBackward, [&] {
    gate_logits_backward({experts.data(),
                          routing_given ? nullptr : d_weights.data(),
                          scores.data(),
                          normaliser.data(),
                          spec.gate.aux_loss_factor != 0 ? counts.data() : nullptr},
                         spec.gate,
                         topk_shape(),
                         d_logits.data(),
                         stream());
    gate_dgrad(blas, d_logits.data(), weights.gate, d_tokens.data(), shape);
    gate_wgrad(blas, d_logits.data(), x, gradients.gate, shape);
  });
}

void RankLayer::dispatch_backward(const RankGradients& gradients) {
  State& s = *state_;
  s.require(Phase::kExpertsBackward);
  State::reserve_rows(s.d_tokens, s.num_tokens, s.hidden());
  if (s.has_shared()) {
    s.shared_backward(gradients);
  }
  s.gate_backward(gradients);
  s.timed(Stage::kSpreadBackward, [&] {
    combine_rows({s.d_sent.data(), s.row_of_assignment.data(), nullptr, s.d_tokens.data()},
                 gradients.x,
                 s.combine_shape(),
                 s.stream());
  });
}

}  // namespace moesim::gpu_ref
