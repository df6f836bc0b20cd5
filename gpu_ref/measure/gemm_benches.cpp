// SPDX-License-Identifier: Apache-2.0
// Dense GEMMs, the ceiling of a type, and the grouped GEMMs of experts.
#include <cublasLt.h>
#include <cublas_v2.h>

#include <algorithm>
#include <array>
#include <string>

#include "gpu_ref/device/check.hpp"
#include "gpu_ref/measure/gpu_fill.hpp"
#include "gpu_ref/measure/lt_gemm.hpp"
#include "gpu_ref/measure/mistake.hpp"
#include "gpu_ref/measure/op_benches.hpp"
#include "gpu_ref/ops/fp8_gemm.hpp"
#include "gpu_ref/ops/grouped_gemm.hpp"
#include "gpu_ref/ops/quantise.hpp"

namespace moesim::measure {
namespace {

using gpu_ref::Bf16;
using gpu_ref::DeviceBuffer;
using gpu_ref::Fp8;
using gpu_ref::StreamHandle;

std::size_t elements(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(rows * columns);
}

DeviceBuffer<Bf16> random_matrix(
    std::int64_t rows, std::int64_t columns, float scale, std::uint64_t seed, StreamHandle stream) {
  DeviceBuffer<Bf16> matrix(elements(rows, columns));
  fill_random(matrix.data(), rows * columns, scale, seed, stream);
  return matrix;
}

/// Rows quantised with a scale a block of 128; the scales are thrown away.
DeviceBuffer<Fp8> random_fp8(std::int64_t rows,
                             std::int64_t columns,
                             std::uint64_t seed,
                             const GpuTimer& timer) {
  const DeviceBuffer<Bf16> wide = random_matrix(rows, columns, 1, seed, timer.stream());
  const DeviceBuffer<float> scales(
      elements(rows, gpu_ref::scale_blocks(static_cast<int>(columns))));
  DeviceBuffer<Fp8> narrow(wide.size());
  gpu_ref::quantise_rows(wide.data(),
                         narrow.data(),
                         scales.data(),
                         {.num_rows = rows, .width = static_cast<int>(columns)},
                         timer.stream());
  timer.wait();
  return narrow;
}

std::vector<std::int64_t> begins(const std::vector<std::int64_t>& counts, std::int64_t multiple) {
  std::vector<std::int64_t> begin = {0};
  for (const std::int64_t count : counts) {
    begin.push_back(begin.back() + (count + multiple - 1) / multiple * multiple);
  }
  return begin;
}

Timing bench_bf16_groups(const GroupedInput& input, BenchTools tools, const Sampling& sampling) {
  const StreamHandle stream = tools.timer.stream();
  const auto groups = static_cast<std::int64_t>(input.counts.size());
  const std::vector<std::int64_t> row_begin = begins(input.counts, 1);
  const auto w = random_matrix(groups * input.columns, input.inner, 0.02F, 1, stream);
  const auto x = random_matrix(row_begin.back(), input.inner, 1, 2, stream);
  const auto y = random_matrix(row_begin.back(), input.columns, 1, 3, stream);
  const gpu_ref::GemmPass pass = input.pass == Pass::kForward ? gpu_ref::GemmPass::kForward
                                 : input.pass == Pass::kBackwardInput
                                     ? gpu_ref::GemmPass::kInputGradient
                                     : gpu_ref::GemmPass::kWeightGradient;
  const gpu_ref::GroupedGemm gemm(tools.blas,
                                  pass,
                                  {.row_begin = row_begin,
                                   .outer = static_cast<int>(input.columns),
                                   .inner = static_cast<int>(input.inner)},
                                  {.w = w.data(), .x = x.data(), .y = y.data()});
  const double launches = 4 + static_cast<double>(groups) / 4;
  return tools.timer.sample(
      {.run = [&] { gemm.run(tools.blas); }, .launches = launches}, sampling.l2, sampling.rule);
}

/// Weights and their scales, from random bf16 that is freed again.
struct QuantisedWeights {
  DeviceBuffer<Fp8> values;
  DeviceBuffer<float> scales;
};

QuantisedWeights quantised_weights(const GroupedInput& input, const GpuTimer& timer) {
  const auto groups = static_cast<std::int64_t>(input.counts.size());
  const int inner = static_cast<int>(input.inner);
  const auto wide = random_matrix(groups * input.columns, input.inner, 0.02F, 1, timer.stream());
  QuantisedWeights weights;
  weights.values = DeviceBuffer<Fp8>(wide.size());
  weights.scales =
      DeviceBuffer<float>(elements(groups * gpu_ref::scale_blocks(static_cast<int>(input.columns)),
                                   gpu_ref::weight_scale_stride(inner)));
  weights.scales.fill(0, timer.stream());
  gpu_ref::quantise_weights(wide.data(),
                            weights.values.data(),
                            weights.scales.data(),
                            {.groups = static_cast<int>(groups),
                             .outer = static_cast<int>(input.columns),
                             .inner = inner},
                            timer.stream());
  timer.wait();
  return weights;
}

Timing bench_fp8_groups(const GroupedInput& input, BenchTools tools, const Sampling& sampling) {
  if (!gpu_ref::has_fp8_block_gemm(tools.blas)) {
    throw CaseSkipped("cuBLASLt offers no FP8 GEMM with block scales on this device");
  }
  const StreamHandle stream = tools.timer.stream();
  const int groups = static_cast<int>(input.counts.size());
  const int blocks = gpu_ref::scale_blocks(static_cast<int>(input.inner));
  const std::vector<std::int64_t> row_begin = begins(input.counts, gpu_ref::kFp8RowMultiple);
  const std::int64_t rows = row_begin.back();
  const QuantisedWeights weights = quantised_weights(input, tools.timer);
  const auto wide = random_matrix(rows, input.inner, 1, 2, stream);
  const DeviceBuffer<Fp8> x(wide.size());
  const DeviceBuffer<float> row_scales(elements(rows, blocks));
  const DeviceBuffer<float> x_scales(elements(rows, blocks));
  const DeviceBuffer<std::int64_t> device_begin(row_begin, stream);
  const DeviceBuffer<Bf16> y(elements(rows, input.columns));
  gpu_ref::quantise_rows(wide.data(),
                         x.data(),
                         row_scales.data(),
                         {.num_rows = rows, .width = static_cast<int>(input.inner)},
                         stream);
  gpu_ref::transpose_scales(
      row_scales.data(), device_begin.data(), groups, blocks, x_scales.data(), stream);
  const gpu_ref::Fp8GroupedGemm gemm(tools.blas,
                                     {.row_begin = row_begin,
                                      .outer = static_cast<int>(input.columns),
                                      .inner = static_cast<int>(input.inner)},
                                     {.w = weights.values.data(),
                                      .w_scales = weights.scales.data(),
                                      .x = x.data(),
                                      .x_scales = x_scales.data(),
                                      .y = y.data()});
  return tools.timer.sample({.run = [&] { gemm.run(tools.blas); },
                             .launches = static_cast<double>(busy_experts(input.counts))},
                            sampling.l2,
                            sampling.rule);
}

}  // namespace

Timing bench(const GemmInput& input, BenchTools tools, const Sampling& sampling) {
  const StreamHandle stream = tools.timer.stream();
  const DeviceBuffer<Bf16> y(elements(input.rows, input.columns));
  const LtShape shape{.rows = input.rows, .columns = input.columns, .inner = input.inner};
  if (input.type == ElementType::kBf16) {
    const auto x = random_matrix(input.rows, input.inner, 1, 1, stream);
    const auto w = random_matrix(input.columns, input.inner, 0.02F, 2, stream);
    const LtGemm gemm(tools.blas, input.type, shape);
    return tools.timer.sample({.run = [&] { gemm.run(tools.blas, x.data(), w.data(), y.data()); }},
                              sampling.l2,
                              sampling.rule);
  }
  const auto x = random_fp8(input.rows, input.inner, 1, tools.timer);
  const auto w = random_fp8(input.columns, input.inner, 2, tools.timer);
  const LtGemm gemm(tools.blas, input.type, shape);
  return tools.timer.sample({.run = [&] { gemm.run(tools.blas, x.data(), w.data(), y.data()); }},
                            sampling.l2,
                            sampling.rule);
}

Timing bench(const GroupedInput& input, BenchTools tools, const Sampling& sampling) {
  return input.type == ElementType::kBf16 ? bench_bf16_groups(input, tools, sampling)
                                          : bench_fp8_groups(input, tools, sampling);
}

}  // namespace moesim::measure
