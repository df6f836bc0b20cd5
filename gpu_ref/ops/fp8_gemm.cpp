// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/ops/fp8_gemm.hpp"

#include <cublasLt.h>

#include <array>
#include <stdexcept>
#include <vector>

#include "gpu_ref/device/check.hpp"
#include "gpu_ref/ops/quantise.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::gpu_ref {
namespace {

/// Owns the four descriptors of a matmul. A: weight, 128 x 128 scales, transposed. B: activations,
/// one scale for 128 of a row. C = D: bf16.
class Matmul {
 public:
  Matmul(const GemmProblem& problem, const float* a_scales, const float* b_scales) {
    MOESIM_CUBLAS_CHECK(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, problem.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, problem.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F);
    set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, a_scales);
    set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, b_scales);
    layout(a, CUDA_R_8F_E4M3, problem.k, problem.m, problem.lda);
    layout(b, CUDA_R_8F_E4M3, problem.k, problem.n, problem.ldb);
    layout(d, CUDA_R_16BF, problem.m, problem.n, problem.ldc);
  }
  ~Matmul() {
    MOESIM_CUDA_IGNORE(cublasLtMatrixLayoutDestroy(d));
    MOESIM_CUDA_IGNORE(cublasLtMatrixLayoutDestroy(b));
    MOESIM_CUDA_IGNORE(cublasLtMatrixLayoutDestroy(a));
    MOESIM_CUDA_IGNORE(cublasLtMatmulDescDestroy(operation));
  }
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;

  /// Finds an algorithm; false when the device has none.
  bool choose(const Blas& blas) {
    cublasLtMatmulPreference_t preference = nullptr;
    MOESIM_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&preference));
    const std::size_t workspace = kBlasWorkspaceBytes;
    MOESIM_CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof(workspace)));
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        blas.lt_handle(), operation, a, b, d, d, preference, 1, &result, &found);
    MOESIM_CUDA_IGNORE(cublasLtMatmulPreferenceDestroy(preference));
    if (status == CUBLAS_STATUS_NOT_SUPPORTED || found == 0) {
      return false;
    }
    MOESIM_CUBLAS_CHECK(status);
    algorithm = result.algo;
    return true;
  }

  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr;
  cublasLtMatrixLayout_t b = nullptr;
  cublasLtMatrixLayout_t d = nullptr;
  cublasLtMatmulAlgo_t algorithm{};

 private:
  template <typename T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    MOESIM_CUBLAS_CHECK(
        cublasLtMatmulDescSetAttribute(operation, attribute, &value, sizeof(value)));
  }
  static void layout(
      cublasLtMatrixLayout_t& matrix, cudaDataType_t type, int rows, int columns, int leading) {
    MOESIM_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&matrix,
                                                   type,
                                                   static_cast<std::uint64_t>(rows),
                                                   static_cast<std::uint64_t>(columns),
                                                   leading));
  }
};

void check_shape(const GroupedShape& shape) {
  if (shape.outer < kScaleBlock || shape.outer % kScaleBlock != 0 || shape.inner < kScaleBlock ||
      shape.inner % kScaleBlock != 0) {
    throw std::invalid_argument("fp8_gemm: outer or inner is not a positive multiple of 128");
  }
  for (const std::int64_t begin : shape.row_begin) {
    if (begin % kFp8RowMultiple != 0) {
      throw std::invalid_argument("fp8_gemm: rows of a group are not a multiple of 4");
    }
  }
}

}  // namespace

struct Fp8GroupedGemm::Plan {
  struct Stage {
    std::unique_ptr<Matmul> matmul;
    const Fp8* a = nullptr;
    const Fp8* b = nullptr;
    Bf16* d = nullptr;
  };
  std::vector<Stage> stages;
};

Fp8GroupedGemm::Fp8GroupedGemm(Blas& blas, const GroupedShape& shape, const Fp8Operands& operands)
    : plan_(std::make_unique<Plan>()) {
  check_shape(shape);
  const std::int64_t blocks = scale_blocks(shape.inner);
  const std::int64_t weight_scales =
      static_cast<std::int64_t>(scale_blocks(shape.outer)) * weight_scale_stride(shape.inner);
  for (std::size_t group = 0; group + 1 < shape.row_begin.size(); ++group) {
    const std::int64_t first = shape.row_begin[group];
    if (shape.row_begin[group + 1] == first) {
      continue;
    }
    const GemmProblem problem = single_problem(GemmPass::kForward, shape, group);
    auto matmul = std::make_unique<Matmul>(
        problem,
        operands.w_scales + static_cast<std::int64_t>(group) * weight_scales,
        operands.x_scales + first * blocks);
    if (!matmul->choose(blas)) {
      throw EnvironmentError("cuBLASLt has no FP8 GEMM with block scales on this device");
    }
    plan_->stages.push_back({std::move(matmul),
                             operands.w + problem.a_begin,
                             operands.x + problem.b_begin,
                             operands.y + problem.c_begin});
  }
}

Fp8GroupedGemm::~Fp8GroupedGemm() = default;
Fp8GroupedGemm::Fp8GroupedGemm(Fp8GroupedGemm&&) noexcept = default;
Fp8GroupedGemm& Fp8GroupedGemm::operator=(Fp8GroupedGemm&&) noexcept = default;

void Fp8GroupedGemm::run(Blas& blas) const {
  const float one = 1.0F;
  const float zero = 0.0F;
  for (const Plan::Stage& stage : plan_->stages) {
    const Matmul& matmul = *stage.matmul;
    MOESIM_CUBLAS_CHECK(cublasLtMatmul(blas.lt_handle(),
                                       matmul.operation,
                                       &one,
                                       stage.a,
                                       matmul.a,
                                       stage.b,
                                       matmul.b,
                                       &zero,
                                       stage.d,
                                       matmul.d,
                                       stage.d,
                                       matmul.d,
                                       &matmul.algorithm,
                                       blas.workspace(),
                                       kBlasWorkspaceBytes,
                                       blas.stream()));
  }
}

bool has_fp8_block_gemm(Blas& blas) {
  const std::array<std::int64_t, 2> row_begin = {0, kScaleBlock};
  const GemmProblem problem = single_problem(
      GemmPass::kForward, {.row_begin = row_begin, .outer = kScaleBlock, .inner = kScaleBlock}, 0);
  const DeviceBuffer<float> scales(kScaleBlock);
  return Matmul(problem, scales.data(), scales.data()).choose(blas);
}

}  // namespace moesim::gpu_ref
