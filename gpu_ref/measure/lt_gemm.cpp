// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/lt_gemm.hpp"

#include <cublasLt.h>

#include "gpu_ref/device/check.hpp"
#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {
namespace {

/// A cuBLASLt description, destroyed with it.
template <typename Handle, cublasStatus_t (*Destroy)(Handle)>
struct Owned {
  Handle handle = nullptr;
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (handle != nullptr) {
      static_cast<void>(Destroy(handle));
    }
  }
};

}  // namespace

struct LtGemm::Plan {
  Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> operation;
  // Column-major: y^T [columns, rows] = (w^T)^T x^T.
  Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> w;
  Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> x;
  Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> y;
  cublasLtMatmulAlgo_t algorithm{};
};

LtGemm::LtGemm(gpu_ref::Blas& blas, ElementType type, const LtShape& shape)
    : plan_(std::make_unique<Plan>()) {
  const cudaDataType_t data = type == ElementType::kFp8 ? CUDA_R_8F_E4M3 : CUDA_R_16BF;
  const auto rows = static_cast<std::uint64_t>(shape.rows);
  const auto columns = static_cast<std::uint64_t>(shape.columns);
  const auto inner = static_cast<std::uint64_t>(shape.inner);
  Plan& p = *plan_;
  MOESIM_CUBLAS_CHECK(
      cublasLtMatmulDescCreate(&p.operation.handle, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  const cublasOperation_t transposed = CUBLAS_OP_T;
  MOESIM_CUBLAS_CHECK(cublasLtMatmulDescSetAttribute(
      p.operation.handle, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof(transposed)));
  MOESIM_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&p.w.handle, data, inner, columns, shape.inner));
  MOESIM_CUBLAS_CHECK(cublasLtMatrixLayoutCreate(&p.x.handle, data, inner, rows, shape.inner));
  MOESIM_CUBLAS_CHECK(
      cublasLtMatrixLayoutCreate(&p.y.handle, CUDA_R_16BF, columns, rows, shape.columns));

  Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
  MOESIM_CUBLAS_CHECK(cublasLtMatmulPreferenceCreate(&preference.handle));
  const std::size_t workspace = gpu_ref::kBlasWorkspaceBytes;
  MOESIM_CUBLAS_CHECK(cublasLtMatmulPreferenceSetAttribute(
      preference.handle, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof(workspace)));
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(blas.lt_handle(),
                                                               p.operation.handle,
                                                               p.w.handle,
                                                               p.x.handle,
                                                               p.y.handle,
                                                               p.y.handle,
                                                               preference.handle,
                                                               1,
                                                               &best,
                                                               &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0)) {
    throw CaseSkipped("cuBLASLt offers no such GEMM on this device");
  }
  MOESIM_CUBLAS_CHECK(status);
  p.algorithm = best.algo;
}

LtGemm::~LtGemm() = default;

void LtGemm::run(gpu_ref::Blas& blas, const void* x, const void* w, void* y) const {
  const float one = 1;
  const float zero = 0;
  const Plan& p = *plan_;
  MOESIM_CUBLAS_CHECK(cublasLtMatmul(blas.lt_handle(),
                                     p.operation.handle,
                                     &one,
                                     w,
                                     p.w.handle,
                                     x,
                                     p.x.handle,
                                     &zero,
                                     y,
                                     p.y.handle,
                                     y,
                                     p.y.handle,
                                     &p.algorithm,
                                     blas.workspace(),
                                     gpu_ref::kBlasWorkspaceBytes,
                                     blas.stream()));
}

}  // namespace moesim::measure
