// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/ops/grouped_gemm.hpp"

#include <cublas_v2.h>

#include "gpu_ref/device/check.hpp"

namespace moesim::gpu_ref {
namespace {

/// The operands in the roles that BLAS gives them.
struct Roles {
  const Bf16* a = nullptr;
  const Bf16* b = nullptr;
  Bf16* c = nullptr;
};

Roles roles(GemmPass pass, const GroupedOperands& operands) {
  switch (pass) {
    case GemmPass::kForward:
      return {operands.w, operands.x, operands.y};
    case GemmPass::kInputGradient:
      return {operands.w, operands.y, operands.x};
    case GemmPass::kWeightGradient:
      return {operands.x, operands.y, operands.w};
  }
  return {};
}

/// One group a problem, in the arrays that cuBLAS wants.
struct BlasArrays {
  explicit BlasArrays(std::span<const GemmProblem> problems) {
    for (const GemmProblem& problem : problems) {
      transpose_a.push_back(problem.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
      transpose_b.push_back(problem.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
      m.push_back(problem.m);
      n.push_back(problem.n);
      k.push_back(problem.k);
      lda.push_back(problem.lda);
      ldb.push_back(problem.ldb);
      ldc.push_back(problem.ldc);
    }
    one.assign(problems.size(), 1.0F);
    zero.assign(problems.size(), 0.0F);
    group_size.assign(problems.size(), 1);
  }

  std::vector<cublasOperation_t> transpose_a, transpose_b;
  std::vector<int> m, n, k, lda, ldb, ldc, group_size;
  std::vector<float> one, zero;
};

}  // namespace

GroupedGemm::GroupedGemm(Blas& blas,
                         GemmPass pass,
                         const GroupedShape& shape,
                         const GroupedOperands& operands)
    : problems_(grouped_problems(pass, shape)) {
  const Roles role = roles(pass, operands);
  std::vector<const void*> a;
  std::vector<const void*> b;
  std::vector<void*> c;
  for (const GemmProblem& problem : problems_) {
    a.push_back(role.a + problem.a_begin);
    b.push_back(role.b + problem.b_begin);
    c.push_back(role.c + problem.c_begin);
  }
  a_ = DeviceBuffer<const void*>(a, blas.stream());
  b_ = DeviceBuffer<const void*>(b, blas.stream());
  c_ = DeviceBuffer<void*>(c, blas.stream());
  wait_for_stream(blas.stream());
  if (pass == GemmPass::kWeightGradient) {
    const std::size_t size =
        static_cast<std::size_t>(shape.outer) * static_cast<std::size_t>(shape.inner);
    for (const int group : empty_groups(shape.row_begin)) {
      Bf16* begin = operands.w + static_cast<std::size_t>(group) * size;
      if (!zero_runs_.empty() &&
          zero_runs_.back().begin + zero_runs_.back().bytes / sizeof(Bf16) == begin) {
        zero_runs_.back().bytes += size * sizeof(Bf16);
      } else {
        zero_runs_.push_back({begin, size * sizeof(Bf16)});
      }
    }
  }
}

void GroupedGemm::run(Blas& blas) const {
  for (const ZeroRun& run : zero_runs_) {
    fill_bytes(run.begin, 0, run.bytes, blas.stream());
  }
  if (problems_.empty()) {
    return;
  }
  const BlasArrays arrays(problems_);
  MOESIM_CUBLAS_CHECK(cublasGemmGroupedBatchedEx(blas.handle(),
                                                 arrays.transpose_a.data(),
                                                 arrays.transpose_b.data(),
                                                 arrays.m.data(),
                                                 arrays.n.data(),
                                                 arrays.k.data(),
                                                 arrays.one.data(),
                                                 a_.data(),
                                                 CUDA_R_16BF,
                                                 arrays.lda.data(),
                                                 b_.data(),
                                                 CUDA_R_16BF,
                                                 arrays.ldb.data(),
                                                 arrays.zero.data(),
                                                 c_.data(),
                                                 CUDA_R_16BF,
                                                 arrays.ldc.data(),
                                                 static_cast<int>(problems_.size()),
                                                 arrays.group_size.data(),
                                                 CUBLAS_COMPUTE_32F));
}

}  // namespace moesim::gpu_ref
