// SPDX-License-Identifier: Apache-2.0
// One expert's FFN in double precision.
#pragma once

#include "gpu_ref/oracle/matrix.hpp"

namespace moesim::gpu_ref::oracle {

/// [rows, 2 width] -> [rows, width] (ops/swiglu.hpp).
[[nodiscard]] Matrix swiglu(const Matrix& gate_up);
[[nodiscard]] Matrix swiglu_backward(const Matrix& gate_up, const Matrix& d_out);

struct ExpertWeights {
  Matrix gate_up;  ///< [2 width, hidden]
  Matrix down;     ///< [hidden, width]
};

/// An expert's pass over its rows, with what the backward pass needs.
struct ExpertPass {
  Matrix x;
  Matrix gate_up;
  Matrix activated;
  Matrix y;
};
/// fp8: x, activated and the weights take a trip through FP8 before each product.
[[nodiscard]] ExpertPass run_expert(const ExpertWeights& weights, Matrix x, bool fp8);

struct ExpertGradients {
  Matrix x;
  Matrix gate_up;
  Matrix down;
};
[[nodiscard]] ExpertGradients expert_backward(const ExpertWeights& weights,
                                              const ExpertPass& pass,
                                              const Matrix& d_y);

}  // namespace moesim::gpu_ref::oracle
