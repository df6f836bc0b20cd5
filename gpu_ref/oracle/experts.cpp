// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/oracle/experts.hpp"

#include <cmath>
#include <utility>

namespace moesim::gpu_ref::oracle {
namespace {

double logistic(double value) {
  return 1.0 / (1.0 + std::exp(-value));
}

}  // namespace

Matrix swiglu(const Matrix& gate_up) {
  const std::int64_t width = gate_up.columns / 2;
  Matrix out(gate_up.rows, width);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    for (std::int64_t f = 0; f < width; ++f) {
      const double gate = gate_up.at(r, f);
      out.at(r, f) = gate * logistic(gate) * gate_up.at(r, width + f);
    }
  }
  return out;
}

Matrix swiglu_backward(const Matrix& gate_up, const Matrix& d_out) {
  const std::int64_t width = gate_up.columns / 2;
  Matrix out(gate_up.rows, gate_up.columns);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    for (std::int64_t f = 0; f < width; ++f) {
      const double gate = gate_up.at(r, f);
      const double s = logistic(gate);
      out.at(r, f) = d_out.at(r, f) * gate_up.at(r, width + f) * (s + gate * s * (1.0 - s));
      out.at(r, width + f) = d_out.at(r, f) * gate * s;
    }
  }
  return out;
}

ExpertPass run_expert(const ExpertWeights& weights, Matrix x, bool fp8) {
  ExpertPass pass;
  pass.x = fp8 ? through_fp8_rows(x) : std::move(x);
  pass.gate_up =
      product_with_transposed(pass.x, fp8 ? through_fp8_blocks(weights.gate_up) : weights.gate_up);
  pass.activated = swiglu(pass.gate_up);
  pass.y = fp8 ? product_with_transposed(through_fp8_rows(pass.activated),
                                         through_fp8_blocks(weights.down))
               : product_with_transposed(pass.activated, weights.down);
  return pass;
}

ExpertGradients expert_backward(const ExpertWeights& weights,
                                const ExpertPass& pass,
                                const Matrix& d_y) {
  const Matrix d_activated = product(d_y, weights.down);
  const Matrix d_gate_up = swiglu_backward(pass.gate_up, d_activated);
  return {product(d_gate_up, weights.gate_up),
          product(transposed(d_gate_up), pass.x),
          product(transposed(d_y), pass.activated)};
}

}  // namespace moesim::gpu_ref::oracle
