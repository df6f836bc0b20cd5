// SPDX-License-Identifier: Apache-2.0
// swiglu and swiglu_backward: see swiglu.hpp.
#include <stdexcept>
#include <string>

#include "gpu_ref/device/launch.cuh"
#include "gpu_ref/device/numbers.cuh"
#include "gpu_ref/ops/swiglu.hpp"

namespace moesim::gpu_ref {
namespace {

constexpr int kThreads = 256;

__device__ float logistic(float value) {
  return 1.0F / (1.0F + expf(-value));
}

__global__ void __launch_bounds__(kThreads)
    swiglu_kernel(const Bf16* gate_up, Bf16* out, int width) {
  const auto row = static_cast<std::int64_t>(blockIdx.x);
  const Bf16* gates = gate_up + row * 2 * width;
  for (int f = static_cast<int>(threadIdx.x) * kVector; f < width; f += kThreads * kVector) {
    Float8 gate = load8(gates + f);
    const Float8 up = load8(gates + width + f);
    for (int i = 0; i < kVector; ++i) {
      gate.at[i] = gate.at[i] * logistic(gate.at[i]) * up.at[i];
    }
    store8(out + row * width + f, gate);
  }
}

__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(const Bf16* gate_up, const Bf16* d_out, Bf16* d_gate_up, int width) {
  const auto row = static_cast<std::int64_t>(blockIdx.x);
  const std::int64_t begin = row * 2 * width;
  for (int f = static_cast<int>(threadIdx.x) * kVector; f < width; f += kThreads * kVector) {
    const Float8 gate = load8(gate_up + begin + f);
    const Float8 up = load8(gate_up + begin + width + f);
    const Float8 slope = load8(d_out + row * width + f);
    Float8 d_gate{};
    Float8 d_up{};
    for (int i = 0; i < kVector; ++i) {
      const float s = logistic(gate.at[i]);
      d_gate.at[i] = slope.at[i] * up.at[i] * s * (1.0F + gate.at[i] * (1.0F - s));
      d_up.at[i] = slope.at[i] * gate.at[i] * s;
    }
    store8(d_gate_up + begin + f, d_gate);
    store8(d_gate_up + begin + width + f, d_up);
  }
}

void check_shape(const char* who, const SwigluShape& shape) {
  if (shape.width < kVector || shape.width % kVector != 0) {
    throw std::invalid_argument(std::string(who) + ": width is not a positive multiple of 8");
  }
}

}  // namespace

void swiglu(const Bf16* gate_up, Bf16* out, const SwigluShape& shape, StreamHandle stream) {
  check_shape("swiglu", shape);
  if (shape.num_rows > 0) {
    launch(swiglu_kernel, {shape.num_rows, kThreads}, stream, gate_up, out, shape.width);
  }
}

void swiglu_backward(const Bf16* gate_up,
                     const Bf16* d_out,
                     Bf16* d_gate_up,
                     const SwigluShape& shape,
                     StreamHandle stream) {
  check_shape("swiglu_backward", shape);
  if (shape.num_rows > 0) {
    launch(swiglu_backward_kernel,
           {shape.num_rows, kThreads},
           stream,
           gate_up,
           d_out,
           d_gate_up,
           shape.width);
  }
}

}  // namespace moesim::gpu_ref
