// SPDX-License-Identifier: Apache-2.0
// The forward phases of a rank after its gate.
#include <array>

#include "gpu_ref/layer/rank_state.hpp"
#include "gpu_ref/ops/placing.hpp"
#include "gpu_ref/ops/quantise.hpp"

namespace moesim::gpu_ref {

void RankLayer::State::reserve_rows_of_plan() {
  const std::int64_t expert_rows = plan.expert_rows();
  const int width = spec.shape.expert_width;
  reserve_rows(index, expert_rows, 1);
  reserve_rows(gate_up, expert_rows, 2 * width);
  reserve_rows(activated, expert_rows, width);
  reserve_rows(expert_y, expert_rows, hidden());
  reserve_rows(returning, plan.receive_rows, hidden());
  reserve_rows(returned, plan.send_rows, hidden());
  if (!is_fp8()) {
    reserve_rows(sent, plan.send_rows, hidden());
    reserve_rows(received, plan.receive_rows, hidden());
    reserve_rows(expert_x, expert_rows, hidden());
    return;
  }
  const int blocks = scale_blocks(hidden());
  const auto reserve = [](QuantisedRows& rows, std::int64_t count, int elements) {
    reserve_rows(rows.values, count, elements);
    reserve_rows(rows.scales, count, scale_blocks(elements));
  };
  reserve(token_q, num_tokens, hidden());
  reserve(sent_q, plan.send_rows, hidden());
  reserve(received_q, plan.receive_rows, hidden());
  reserve(expert_q, expert_rows, hidden());
  reserve(activated_q, expert_rows, width);
  reserve_rows(expert_scales, expert_rows, blocks);
  reserve_rows(activated_scales, expert_rows, scale_blocks(width));
}

void RankLayer::State::plan_gemms() {
  if (is_fp8()) {
    gate_up_fp8.emplace(blas,
                        gate_up_shape(),
                        Fp8Operands{gate_up_q.values.data(),
                                    gate_up_q.scales.data(),
                                    expert_q.values.data(),
                                    expert_scales.data(),
                                    gate_up.data()});
    down_fp8.emplace(blas,
                     down_shape(),
                     Fp8Operands{down_q.values.data(),
                                 down_q.scales.data(),
                                 activated_q.values.data(),
                                 activated_scales.data(),
                                 expert_y.data()});
  } else {
    gate_up_gemm.emplace(blas,
                         GemmPass::kForward,
                         gate_up_shape(),
                         GroupedOperands{weights.gate_up, expert_x.data(), gate_up.data()});
    down_gemm.emplace(blas,
                      GemmPass::kForward,
                      down_shape(),
                      GroupedOperands{weights.down, activated.data(), expert_y.data()});
  }
  if (!has_shared()) {
    return;
  }
  const int width = spec.shape.shared_width;
  reserve_rows(shared_gate_up, num_tokens, 2 * width);
  reserve_rows(shared_activated, num_tokens, width);
  reserve_rows(shared_y, num_tokens, hidden());
  const std::array<std::int64_t, 2> rows = {0, num_tokens};
  // x is only read: the operands of a pass have one type for both directions.
  Bf16* tokens = const_cast<Bf16*>(x);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  shared_gate_up_gemm.emplace(
      blas,
      GemmPass::kForward,
      GroupedShape{rows, 2 * width, hidden()},
      GroupedOperands{weights.shared_gate_up, tokens, shared_gate_up.data()});
  shared_down_gemm.emplace(
      blas,
      GemmPass::kForward,
      GroupedShape{rows, hidden(), width},
      GroupedOperands{weights.shared_down, shared_activated.data(), shared_y.data()});
}

void RankLayer::plan(const CountMatrix& assignments) {
  State& s = *state_;
  s.require(Phase::kChosen);
  s.plan = plan_rank(s.spec, s.rank, kept_counts(s.spec, assignments));
  wait_for_stream(s.stream());
  s.backward_gemms.clear();
  s.reserve_rows_of_plan();
  s.quota.upload(s.plan.quota, s.stream());
  s.row_begin.upload(s.plan.row_begin, s.stream());
  s.runs.reserve(s.plan.runs.size());
  s.runs.upload(s.plan.runs, s.stream());
  if (s.is_fp8()) {
    s.expert_row_begin.reserve(s.plan.expert_row_begin.size());
    s.expert_row_begin.upload(s.plan.expert_row_begin, s.stream());
  }
  s.plan_gemms();
  s.phase = Phase::kPlanned;
}

void RankLayer::State::spread() {
  timed(Stage::kSpread, [&] {
    spread_rows(x,
                row_of_assignment.data(),
                sent.data(),
                {num_tokens, spec.shape.top_k, row_bytes()},
                stream());
  });
}

void RankLayer::State::spread_fp8() {
  timed(Stage::kSpread, [&] {
    quantise_rows(
        x, token_q.values.data(), token_q.scales.data(), {num_tokens, hidden()}, stream());
    const int top_k = spec.shape.top_k;
    spread_rows(token_q.values.data(),
                row_of_assignment.data(),
                sent_q.values.data(),
                {num_tokens, top_k, hidden()},
                stream());
    spread_rows(token_q.scales.data(),
                row_of_assignment.data(),
                sent_q.scales.data(),
                {num_tokens, top_k, scale_blocks(hidden()) * static_cast<int>(sizeof(float))},
                stream());
  });
}

void RankLayer::dispatch() {
  State& s = *state_;
  s.require(Phase::kPlanned);
  s.timed(Stage::kPlace, [&] {
    place_assignments({s.experts.data(), s.chunk_begins.data(), s.quota.data(), s.row_begin.data()},
                      s.topk_shape(),
                      s.row_of_assignment.data(),
                      s.stream());
  });
  if (s.is_fp8()) {
    s.spread_fp8();
  } else {
    s.spread();
  }
  s.phase = Phase::kDispatched;
}

void RankLayer::State::regroup() {
  timed(Stage::kRegroup, [&] {
    index_of_runs(runs.data(),
                  static_cast<int>(plan.runs.size()),
                  index.data(),
                  plan.expert_rows(),
                  stream());
    gather_rows(received.data(),
                index.data(),
                expert_x.data(),
                {plan.expert_rows(), row_bytes()},
                stream());
  });
}

void RankLayer::State::regroup_fp8() {
  const int blocks = scale_blocks(hidden());
  timed(Stage::kRegroup, [&] {
    index_of_runs(runs.data(),
                  static_cast<int>(plan.runs.size()),
                  index.data(),
                  plan.expert_rows(),
                  stream());
    gather_rows(received_q.values.data(),
                index.data(),
                expert_q.values.data(),
                {plan.expert_rows(), hidden()},
                stream());
    gather_rows(received_q.scales.data(),
                index.data(),
                expert_q.scales.data(),
                {plan.expert_rows(), blocks * static_cast<int>(sizeof(float))},
                stream());
    transpose_scales(expert_q.scales.data(),
                     expert_row_begin.data(),
                     spec.slots_per_rank(),
                     blocks,
                     expert_scales.data(),
                     stream());
  });
}

void RankLayer::run_experts() {
  State& s = *state_;
  s.require(Phase::kDispatched);
  if (s.is_fp8()) {
    s.regroup_fp8();
    s.timed(Stage::kGateUp, [&] { s.gate_up_fp8->run(s.blas); });
    s.timed(Stage::kActivation, [&] {
      swiglu(s.gate_up.data(), s.activated.data(), s.swiglu_shape(), s.stream());
      quantise_rows(s.activated.data(),
                    s.activated_q.values.data(),
                    s.activated_q.scales.data(),
                    {s.plan.expert_rows(), s.spec.shape.expert_width},
                    s.stream());
      transpose_scales(s.activated_q.scales.data(),
                       s.expert_row_begin.data(),
                       s.spec.slots_per_rank(),
                       scale_blocks(s.spec.shape.expert_width),
                       s.activated_scales.data(),
                       s.stream());
    });
    s.timed(Stage::kDown, [&] { s.down_fp8->run(s.blas); });
  } else {
    s.regroup();
    s.timed(Stage::kGateUp, [&] { s.gate_up_gemm->run(s.blas); });
    s.timed(Stage::kActivation,
            [&] { swiglu(s.gate_up.data(), s.activated.data(), s.swiglu_shape(), s.stream()); });
    s.timed(Stage::kDown, [&] { s.down_gemm->run(s.blas); });
  }
  s.timed(Stage::kUngroup, [&] {
    scatter_rows(s.expert_y.data(),
                 s.index.data(),
                 s.returning.data(),
                 {s.plan.expert_rows(), s.row_bytes()},
                 s.stream());
  });
  s.phase = Phase::kExperts;
}

void RankLayer::State::run_shared() {
  timed(Stage::kShared, [&] {
    shared_gate_up_gemm->run(blas);
    swiglu(shared_gate_up.data(), shared_activated.data(), shared_swiglu_shape(), stream());
    shared_down_gemm->run(blas);
  });
}

void RankLayer::combine(Bf16* out) {
  State& s = *state_;
  s.require(Phase::kExperts);
  if (s.has_shared()) {
    s.run_shared();
  }
  s.timed(Stage::kCombine, [&] {
    combine_rows({s.returned.data(),
                  s.row_of_assignment.data(),
                  s.token_weights.data(),
                  s.has_shared() ? s.shared_y.data() : nullptr},
                 out,
                 s.combine_shape(),
                 s.stream());
  });
  s.phase = Phase::kCombined;
}

std::vector<Payload> RankLayer::payloads(Transfer transfer) const {
  const State& s = *state_;
  s.require(Phase::kPlanned);
  const auto row = static_cast<std::size_t>(s.row_bytes());
  switch (transfer) {
    case Transfer::kDispatch:
      if (s.is_fp8()) {
        return {{s.sent_q.values.data(), s.received_q.values.data(), row / sizeof(Bf16)},
                {s.sent_q.scales.data(),
                 s.received_q.scales.data(),
                 static_cast<std::size_t>(scale_blocks(s.hidden())) * sizeof(float)}};
      }
      return {{s.sent.data(), s.received.data(), row}};
    case Transfer::kCombine:
      return {{s.returning.data(), s.returned.data(), row}};
    case Transfer::kCombineGradient:
      return {{s.d_returned.data(), s.d_returning.data(), row}};
    case Transfer::kDispatchGradient:
      return {{s.d_received.data(), s.d_sent.data(), row}};
  }
  return {};
}

}  // namespace moesim::gpu_ref
