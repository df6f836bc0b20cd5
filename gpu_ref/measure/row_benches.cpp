// SPDX-License-Identifier: Apache-2.0
// Gate, permute, combine, quantise, activation.
#include "gpu_ref/device/check.hpp"
#include "gpu_ref/measure/gpu_fill.hpp"
#include "gpu_ref/measure/loads.hpp"
#include "gpu_ref/measure/op_benches.hpp"
#include "gpu_ref/ops/combine.hpp"
#include "gpu_ref/ops/gate.hpp"
#include "gpu_ref/ops/quantise.hpp"
#include "gpu_ref/ops/rows.hpp"
#include "gpu_ref/ops/swiglu.hpp"
#include "gpu_ref/ops/topk.hpp"

namespace moesim::measure {
namespace {

using gpu_ref::Bf16;
using gpu_ref::DeviceBuffer;
using gpu_ref::StreamHandle;

std::size_t elements(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(rows * columns);
}

DeviceBuffer<Bf16> random_rows(std::int64_t rows,
                               std::int64_t columns,
                               std::uint64_t seed,
                               StreamHandle stream) {
  DeviceBuffer<Bf16> matrix(elements(rows, columns));
  fill_random(matrix.data(), rows * columns, 1, seed, stream);
  return matrix;
}

DeviceBuffer<float> random_floats(std::int64_t count, std::uint64_t seed, StreamHandle stream) {
  DeviceBuffer<float> values(static_cast<std::size_t>(count));
  fill_random(values.data(), count, seed, stream);
  return values;
}

/// Row of every assignment of a uniform routing, rows in expert order.
std::vector<std::int32_t> uniform_rows(const RowsInput& input) {
  const std::vector<std::int64_t> counts =
      uniform_counts(input.experts, input.tokens * input.top_k);
  return expert_major_rows(routing_of_counts(counts, input.tokens, input.top_k, 1), input.experts);
}

Timing bench_gate(const RowsInput& input, BenchTools tools, const Sampling& sampling) {
  const StreamHandle stream = tools.timer.stream();
  const auto x = random_rows(input.tokens, input.width, 1, stream);
  const auto gate = random_rows(input.experts, input.width, 2, stream);
  const DeviceBuffer<float> logits(elements(input.tokens, input.experts));
  const DeviceBuffer<float> scores(logits.size());
  const DeviceBuffer<float> choice(logits.size());
  const DeviceBuffer<std::int32_t> experts(elements(input.tokens, input.top_k));
  const DeviceBuffer<float> weights(experts.size());
  const DeviceBuffer<float> normaliser(static_cast<std::size_t>(input.tokens));
  const gpu_ref::GateShape gate_shape{.num_tokens = input.tokens,
                                      .hidden = static_cast<int>(input.width),
                                      .num_experts = static_cast<int>(input.experts)};
  const gpu_ref::TopkShape topk_shape{.num_tokens = input.tokens,
                                      .num_experts = static_cast<int>(input.experts),
                                      .top_k = static_cast<int>(input.top_k)};
  const auto run = [&] {
    gpu_ref::gate_logits(tools.blas, x.data(), gate.data(), logits.data(), gate_shape);
    gpu_ref::softmax_topk(logits.data(),
                          {},
                          topk_shape,
                          {.experts = experts.data(),
                           .weights = weights.data(),
                           .scores = scores.data(),
                           .choice = choice.data(),
                           .normaliser = normaliser.data()},
                          stream);
  };
  return tools.timer.sample({.run = run, .launches = 3}, sampling.l2, sampling.rule);
}

Timing bench_permute(const RowsInput& input, BenchTools tools, const Sampling& sampling) {
  const StreamHandle stream = tools.timer.stream();
  const auto x = random_rows(input.tokens, input.width, 1, stream);
  const DeviceBuffer<std::int32_t> row(uniform_rows(input), stream);
  const DeviceBuffer<Bf16> rows(elements(input.tokens * input.top_k, input.width));
  const gpu_ref::SpreadShape shape{.num_tokens = input.tokens,
                                   .top_k = static_cast<int>(input.top_k),
                                   .row_bytes = static_cast<int>(input.width * 2)};
  return tools.timer.sample(
      {.run = [&] { gpu_ref::spread_rows(x.data(), row.data(), rows.data(), shape, stream); }},
      sampling.l2,
      sampling.rule);
}

Timing bench_combine(const RowsInput& input, BenchTools tools, const Sampling& sampling) {
  const StreamHandle stream = tools.timer.stream();
  const auto rows = random_rows(input.tokens * input.top_k, input.width, 1, stream);
  const DeviceBuffer<std::int32_t> row(uniform_rows(input), stream);
  const auto weights = random_floats(input.tokens * input.top_k, 2, stream);
  const DeviceBuffer<Bf16> out(elements(input.tokens, input.width));
  const gpu_ref::CombineInputs in{.rows = rows.data(),
                                  .row_of_assignment = row.data(),
                                  .weights = weights.data(),
                                  .addend = nullptr};
  const gpu_ref::CombineShape shape{.num_tokens = input.tokens,
                                    .top_k = static_cast<int>(input.top_k),
                                    .hidden = static_cast<int>(input.width)};
  return tools.timer.sample({.run = [&] { gpu_ref::combine_rows(in, out.data(), shape, stream); }},
                            sampling.l2,
                            sampling.rule);
}

Timing bench_quantise(const RowsInput& input, BenchTools tools, const Sampling& sampling) {
  const StreamHandle stream = tools.timer.stream();
  const int width = static_cast<int>(input.width);
  const auto in = random_rows(input.tokens, input.width, 1, stream);
  const DeviceBuffer<gpu_ref::Fp8> values(in.size());
  const DeviceBuffer<float> scales(elements(input.tokens, gpu_ref::scale_blocks(width)));
  return tools.timer.sample({.run =
                                 [&] {
                                   gpu_ref::quantise_rows(
                                       in.data(),
                                       values.data(),
                                       scales.data(),
                                       {.num_rows = input.tokens, .width = width},
                                       stream);
                                 }},
                            sampling.l2,
                            sampling.rule);
}

Timing bench_activation(const RowsInput& input, BenchTools tools, const Sampling& sampling) {
  const StreamHandle stream = tools.timer.stream();
  const auto in = random_rows(input.tokens, 2 * input.width, 1, stream);
  const DeviceBuffer<Bf16> out(elements(input.tokens, input.width));
  const gpu_ref::SwigluShape shape{.num_rows = input.tokens,
                                   .width = static_cast<int>(input.width)};
  return tools.timer.sample({.run = [&] { gpu_ref::swiglu(in.data(), out.data(), shape, stream); }},
                            sampling.l2,
                            sampling.rule);
}

}  // namespace

Timing bench(const RowsInput& input, BenchTools tools, const Sampling& sampling) {
  switch (input.op) {
    case RowOp::kGate:
      return bench_gate(input, tools, sampling);
    case RowOp::kPermute:
      return bench_permute(input, tools, sampling);
    case RowOp::kCombine:
      return bench_combine(input, tools, sampling);
    case RowOp::kQuantise:
      return bench_quantise(input, tools, sampling);
    case RowOp::kActivation:
      break;
  }
  return bench_activation(input, tools, sampling);
}

}  // namespace moesim::measure
