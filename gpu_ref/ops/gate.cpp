// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/ops/gate.hpp"

#include <cublas_v2.h>

#include <array>
#include <stdexcept>

#include "gpu_ref/device/check.hpp"
#include "gpu_ref/ops/gemm_problems.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref {
namespace {

struct GateGemm {
  const Bf16* a = nullptr;
  const Bf16* b = nullptr;
  void* c = nullptr;
  cudaDataType_t c_type = CUDA_R_32F;
  float beta = 0.0F;
};

void check_shape(const GateShape& shape) {
  if (shape.hidden < kRowAlignment || shape.hidden % kRowAlignment != 0) {
    throw std::invalid_argument("gate: hidden is not a positive multiple of 8");
  }
  if (shape.num_experts < 1 || shape.num_experts > kMostExperts) {
    throw std::invalid_argument("gate: num_experts is not in [1, 1024]");
  }
}

/// The gate is an expert FFN's stage with one group: X = x, W = gate, Y = logits.
void run(Blas& blas, GemmPass pass, const GateShape& shape, const GateGemm& gemm) {
  const std::array<std::int64_t, 2> row_begin = {0, shape.num_tokens};
  const GemmProblem problem = single_problem(
      pass, {.row_begin = row_begin, .outer = shape.num_experts, .inner = shape.hidden}, 0);
  const float one = 1.0F;
  MOESIM_CUBLAS_CHECK(cublasGemmEx(blas.handle(),
                                   problem.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                                   problem.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                                   problem.m,
                                   problem.n,
                                   problem.k,
                                   &one,
                                   gemm.a,
                                   CUDA_R_16BF,
                                   problem.lda,
                                   gemm.b,
                                   CUDA_R_16BF,
                                   problem.ldb,
                                   &gemm.beta,
                                   gemm.c,
                                   gemm.c_type,
                                   problem.ldc,
                                   CUBLAS_COMPUTE_32F,
                                   CUBLAS_GEMM_DEFAULT));
}

}  // namespace

void gate_logits(
    Blas& blas, const Bf16* x, const Bf16* gate, float* logits, const GateShape& shape) {
  check_shape(shape);
  if (shape.num_tokens > 0) {
    run(blas, GemmPass::kForward, shape, {.a = gate, .b = x, .c = logits});
  }
}

void gate_dgrad(
    Blas& blas, const Bf16* d_logits, const Bf16* gate, Bf16* d_x, const GateShape& shape) {
  check_shape(shape);
  if (shape.num_tokens > 0) {
    run(blas,
        GemmPass::kInputGradient,
        shape,
        {.a = gate,
         .b = d_logits,
         .c = d_x,
         .c_type = CUDA_R_16BF,
         .beta = shape.accumulate ? 1.0F : 0.0F});
  }
}

void gate_wgrad(
    Blas& blas, const Bf16* d_logits, const Bf16* x, float* d_gate, const GateShape& shape) {
  check_shape(shape);
  if (shape.num_tokens > 0) {
    run(blas, GemmPass::kWeightGradient, shape, {.a = x, .b = d_logits, .c = d_gate});
  } else {
    fill_bytes(d_gate,
               0,
               sizeof(float) * static_cast<std::size_t>(shape.num_experts) *
                   static_cast<std::size_t>(shape.hidden),
               blas.stream());
  }
}

}  // namespace moesim::gpu_ref
