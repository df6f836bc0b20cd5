// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/oracle/experts.hpp"

#include <array>

#include "gpu_ref/ops/fp8_gemm.hpp"
#include "gpu_ref/ops/grouped_gemm.hpp"
#include "gpu_ref/ops/quantise.hpp"
#include "gpu_ref/ops/swiglu.hpp"
#include "tests/gpu_ref/device/on_device.hpp"

namespace moesim::gpu_ref::testing {
namespace {

using ExpertsOnDevice = OnDevice;

constexpr Tolerance kRoundedOnce{2e-6, 1.01 * kBf16Rounding, kBf16Rounding};
/// bf16 products, f32 sums, one rounding; f32 sums of these lengths are off by far less than that.
constexpr Tolerance kGemm{1e-4, 1.05 * kBf16Rounding, kBf16Rounding};

TEST_F(ExpertsOnDevice, SwigluAndItsGradientAreTheOracles) {
  for (const SwigluShape& shape : {SwigluShape{9, 24}, SwigluShape{1, 2056}, SwigluShape{0, 8}}) {
    const auto size = static_cast<std::size_t>(shape.num_rows * shape.width);
    const std::vector<Bf16> gate_up = random_bf16(2 * size, "gate_up", 6.0F);
    const std::vector<Bf16> slope = random_bf16(size, "slope");
    const auto device_gate_up = on_device(gate_up);
    const auto device_slope = on_device(slope);
    auto out = poisoned<Bf16>(size);
    auto d_gate_up = poisoned<Bf16>(2 * size);
    swiglu(device_gate_up.data(), out.data(), shape, stream());
    swiglu_backward(device_gate_up.data(), device_slope.data(), d_gate_up.data(), shape, stream());
    const oracle::Matrix in = matrix_of(gate_up, 2 * shape.width);
    EXPECT_TRUE(
        are_close(to_double(out.download(stream())), oracle::swiglu(in).values, kRoundedOnce));
    EXPECT_TRUE(are_close(to_double(d_gate_up.download(stream())),
                          oracle::swiglu_backward(in, matrix_of(slope, shape.width)).values,
                          {1e-5, 1.02 * kBf16Rounding, kBf16Rounding}));
  }
  EXPECT_THROW(swiglu(nullptr, nullptr, {1, 12}, stream()), std::invalid_argument);
}

class GroupedGemmOnDevice : public OnDevice {
 protected:
  void check(const std::vector<std::int64_t>& counts, int outer, int inner) {
    const std::vector<std::int64_t> begin = begins_of_counts(counts);
    const GroupedShape shape{begin, outer, inner};
    const auto rows = static_cast<std::size_t>(begin.back());
    const std::size_t weight = static_cast<std::size_t>(outer) * static_cast<std::size_t>(inner);
    const std::vector<Bf16> w = random_bf16(counts.size() * weight, "w");
    const std::vector<Bf16> x = random_bf16(rows * static_cast<std::size_t>(inner), "x");
    const std::vector<Bf16> y = random_bf16(rows * static_cast<std::size_t>(outer), "dy");
    auto device_w = on_device(w);
    auto device_x = on_device(x);
    auto device_y = on_device(y);
    auto out = poisoned<Bf16>(y.size());
    auto d_x = poisoned<Bf16>(x.size());
    auto d_w = poisoned<Bf16>(w.size());
    Blas blas(stream());
    const auto run = [&](GemmPass pass, const GroupedOperands& operands) {
      GroupedGemm(blas, pass, shape, operands).run(blas);
    };
    run(GemmPass::kForward, {device_w.data(), device_x.data(), out.data()});
    run(GemmPass::kInputGradient, {device_w.data(), d_x.data(), device_y.data()});
    run(GemmPass::kWeightGradient, {d_w.data(), device_x.data(), device_y.data()});

    oracle::Matrix expected_out, expected_dx, expected_dw;
    const auto append = [](oracle::Matrix& to, const oracle::Matrix& part) {
      to.values.insert(to.values.end(), part.values.begin(), part.values.end());
    };
    const oracle::Matrix mw = matrix_of(w, inner);
    const oracle::Matrix mx = matrix_of(x, inner);
    const oracle::Matrix my = matrix_of(y, outer);
    for (std::size_t e = 0; e < counts.size(); ++e) {
      const auto group = static_cast<std::int64_t>(e);
      const oracle::Matrix we = oracle::rows_of(mw, group * outer, (group + 1) * outer);
      const oracle::Matrix xe = oracle::rows_of(mx, begin[e], begin[e + 1]);
      const oracle::Matrix ye = oracle::rows_of(my, begin[e], begin[e + 1]);
      append(expected_out, oracle::product_with_transposed(xe, we));
      append(expected_dx, oracle::product(ye, we));
      append(expected_dw, oracle::product(oracle::transposed(ye), xe));
    }
    EXPECT_TRUE(are_close(to_double(out.download(stream())), expected_out.values, kGemm));
    EXPECT_TRUE(are_close(to_double(d_x.download(stream())), expected_dx.values, kGemm));
    EXPECT_TRUE(are_close(to_double(d_w.download(stream())), expected_dw.values, kGemm));
  }
};

TEST_F(GroupedGemmOnDevice, AllPassesAreTheOracles) {
  check({5, 1, 7}, 16, 24);             // odd sizes
  check({0, 0, 9, 0, 3, 0, 0}, 8, 40);  // empty experts, runs of them, at both ends
  check({0, 200, 0, 1}, 24, 16);        // one hot expert
  check({0, 0, 0}, 16, 8);              // no rows at all
  check({64}, 8, 8);
}

TEST_F(ExpertsOnDevice, QuantisedRowsAreTheOraclesBitByBit) {
  std::vector<Bf16> rows = random_bf16(5 * 384, "quantise", 3.0F);
  std::fill(rows.begin() + 128, rows.begin() + 256, Bf16{});  // a block of zeros
  const auto in = on_device(rows);
  auto values = poisoned<Fp8>(rows.size());
  auto scales = poisoned<float>(rows.size() / 128);
  quantise_rows(in.data(), values.data(), scales.data(), {5, 384}, stream());
  const oracle::QuantisedMatrix expected = oracle::quantised_rows(rows, 384);
  EXPECT_EQ(scales.download(stream()), expected.scales);
  const std::vector<Fp8> actual = values.download(stream());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_EQ(actual[i].bits, expected.values[i].bits) << i;
  }
  EXPECT_THROW(quantise_rows(nullptr, nullptr, nullptr, {1, 64}, stream()), std::invalid_argument);
}

/// FP8 values under their scales, as doubles.
oracle::Matrix dequantised(const std::vector<Fp8>& values,
                           const std::vector<float>& scales,
                           std::int64_t width,
                           std::int64_t height,
                           std::int64_t stride) {
  oracle::Matrix out(static_cast<std::int64_t>(values.size()) / width, width);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    for (std::int64_t c = 0; c < width; ++c) {
      const float scale = scales[static_cast<std::size_t>(r / height * stride + c / 128)];
      out.at(r, c) =
          static_cast<double>(to_float(values[static_cast<std::size_t>(r * width + c)])) *
          static_cast<double>(scale);
    }
  }
  return out;
}

TEST_F(ExpertsOnDevice, Fp8GemmMultipliesWhatTheQuantisersWrote) {
  constexpr int kOuter = 128;
  constexpr int kInner = 256;
  const std::vector<std::int64_t> counts = {8, 0, 4, 12};
  const std::vector<std::int64_t> begin = begins_of_counts(counts);
  const std::vector<Bf16> x = random_bf16(24 * kInner, "fp8 x");
  const std::vector<Bf16> w = random_bf16(4 * kOuter * kInner, "fp8 w");
  Blas blas(stream());
  if (!has_fp8_block_gemm(blas)) {
    GTEST_SKIP() << "cuBLASLt has no FP8 GEMM with block scales on this device";
  }
  const auto device_x = on_device(x);
  const auto device_w = on_device(w);
  const auto device_begin = on_device(begin);
  auto xq = poisoned<Fp8>(x.size());
  auto wq = poisoned<Fp8>(w.size());
  auto x_scales = poisoned<float>(24 * 2);
  auto x_scales_t = poisoned<float>(24 * 2);
  auto w_scales = poisoned<float>(4 * 1 * static_cast<std::size_t>(weight_scale_stride(kInner)));
  auto y = poisoned<Bf16>(24 * kOuter);
  quantise_rows(device_x.data(), xq.data(), x_scales.data(), {24, kInner}, stream());
  quantise_weights(device_w.data(), wq.data(), w_scales.data(), {4, kOuter, kInner}, stream());
  transpose_scales(x_scales.data(), device_begin.data(), 4, 2, x_scales_t.data(), stream());
  Fp8GroupedGemm(blas,
                 {begin, kOuter, kInner},
                 {wq.data(), w_scales.data(), xq.data(), x_scales_t.data(), y.data()})
      .run(blas);
  const oracle::Matrix mx =
      dequantised(xq.download(stream()), x_scales.download(stream()), kInner, 1, 2);
  const oracle::Matrix mw =
      dequantised(wq.download(stream()), w_scales.download(stream()), kInner, 128, 4);
  EXPECT_TRUE(are_close(mx.values, matrix_of(x, kInner).values, {0.04, 0.07, 0.04}));
  EXPECT_TRUE(
      are_close(mw.values, oracle::through_fp8_blocks(matrix_of(w, kInner)).values, {1e-12, 0, 0}));
  std::vector<double> expected;
  for (std::size_t e = 0; e < counts.size(); ++e) {
    const auto group = static_cast<std::int64_t>(e);
    const oracle::Matrix part =
        oracle::product_with_transposed(oracle::rows_of(mx, begin[e], begin[e + 1]),
                                        oracle::rows_of(mw, group * kOuter, (group + 1) * kOuter));
    expected.insert(expected.end(), part.values.begin(), part.values.end());
  }
  // The tensor cores add FP8 products with about 14 bits before they are promoted.
  EXPECT_TRUE(are_close(to_double(y.download(stream())), expected, {2e-2, 1e-2, 5e-3}));
}

}  // namespace
}  // namespace moesim::gpu_ref::testing
