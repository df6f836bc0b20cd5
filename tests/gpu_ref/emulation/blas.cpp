// SPDX-License-Identifier: Apache-2.0
#include <cublas_v2.h>

#include <algorithm>

#include "gpu_ref/formats.hpp"

struct cublasContext {
  void* workspace = nullptr;
};

namespace {

using moesim::gpu_ref::Bf16;
using moesim::gpu_ref::to_bf16;
using moesim::gpu_ref::to_float;

struct Gemm {
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;
  const Bf16* a;
  std::int64_t lda;
  const Bf16* b;
  std::int64_t ldb;
  void* c;
  cudaDataType_t c_type;
  std::int64_t ldc;
};

/// What the manual demands of leading dimensions and addresses.
bool is_valid(const Gemm& g) {
  const auto least = [](std::int64_t rows) { return std::max<std::int64_t>(1, rows); };
  return g.m >= 0 && g.n >= 0 && g.k >= 0 && g.lda >= least(g.transpose_a ? g.k : g.m) &&
         g.ldb >= least(g.transpose_b ? g.n : g.k) && g.ldc >= least(g.m);
}

bool is_aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

void multiply(const Gemm& g, float alpha, float beta) {
  for (std::int64_t j = 0; j < g.n; ++j) {
    for (std::int64_t i = 0; i < g.m; ++i) {
      double sum = 0;
      for (std::int64_t l = 0; l < g.k; ++l) {
        const Bf16 a = g.a[g.transpose_a ? l + i * g.lda : i + l * g.lda];
        const Bf16 b = g.b[g.transpose_b ? j + l * g.ldb : l + j * g.ldb];
        sum += static_cast<double>(to_float(a)) * static_cast<double>(to_float(b));
      }
      sum *= static_cast<double>(alpha);
      if (g.c_type == CUDA_R_32F) {
        float& c = static_cast<float*>(g.c)[i + j * g.ldc];
        c = static_cast<float>(sum + (beta != 0 ? static_cast<double>(beta * c) : 0.0));
      } else {
        Bf16& c = static_cast<Bf16*>(g.c)[i + j * g.ldc];
        c = to_bf16(
            static_cast<float>(sum + (beta != 0 ? static_cast<double>(beta * to_float(c)) : 0.0)));
      }
    }
  }
}

}  // namespace

const char* cublasGetStatusName(cublasStatus_t status) {
  return status == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                               : "CUBLAS_STATUS_INVALID_VALUE";
}
const char* cublasGetStatusString(cublasStatus_t /*status*/) {
  return "refused by the stand-in";
}
cublasStatus_t cublasGetProperty(libraryPropertyType type, int* value) {
  *value = type == MAJOR_VERSION ? 13 : 0;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t /*stream*/) {
  handle->workspace = nullptr;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, std::size_t /*bytes*/) {
  handle->workspace = workspace;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetPointerMode(cublasHandle_t /*handle*/, cublasPointerMode_t mode) {
  return mode == CUBLAS_POINTER_MODE_HOST ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t /*handle*/, cublasMath_t /*mode*/) {
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle,
                            cublasOperation_t transa,
                            cublasOperation_t transb,
                            int m,
                            int n,
                            int k,
                            const void* alpha,
                            const void* a,
                            cudaDataType_t a_type,
                            int lda,
                            const void* b,
                            cudaDataType_t b_type,
                            int ldb,
                            const void* beta,
                            void* c,
                            cudaDataType_t c_type,
                            int ldc,
                            cublasComputeType_t /*compute*/,
                            cublasGemmAlgo_t /*algorithm*/) {
  const Gemm gemm{transa == CUBLAS_OP_T,
                  transb == CUBLAS_OP_T,
                  m,
                  n,
                  k,
                  static_cast<const Bf16*>(a),
                  lda,
                  static_cast<const Bf16*>(b),
                  ldb,
                  c,
                  c_type,
                  ldc};
  if (a_type != CUDA_R_16BF || b_type != CUDA_R_16BF || handle->workspace == nullptr) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (!is_valid(gemm)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  multiply(gemm, *static_cast<const float*>(alpha), *static_cast<const float*>(beta));
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmGroupedBatchedEx(cublasHandle_t handle,
                                          const cublasOperation_t transa[],
                                          const cublasOperation_t transb[],
                                          const int m[],
                                          const int n[],
                                          const int k[],
                                          const void* alpha,
                                          const void* const a[],
                                          cudaDataType_t a_type,
                                          const int lda[],
                                          const void* const b[],
                                          cudaDataType_t b_type,
                                          const int ldb[],
                                          const void* beta,
                                          void* const c[],
                                          cudaDataType_t c_type,
                                          const int ldc[],
                                          int group_count,
                                          const int group_size[],
                                          cublasComputeType_t compute) {
  if (a_type != CUDA_R_16BF || b_type != CUDA_R_16BF || c_type != CUDA_R_16BF) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  int problem = 0;
  for (int g = 0; g < group_count; ++g) {
    for (int i = 0; i < group_size[g]; ++i, ++problem) {
      if (!is_aligned(a[problem]) || !is_aligned(b[problem]) || !is_aligned(c[problem])) {
        return CUBLAS_STATUS_INVALID_VALUE;  // a misaligned access on the device
      }
      const cublasStatus_t status = cublasGemmEx(handle,
                                                 transa[g],
                                                 transb[g],
                                                 m[g],
                                                 n[g],
                                                 k[g],
                                                 static_cast<const float*>(alpha) + g,
                                                 a[problem],
                                                 a_type,
                                                 lda[g],
                                                 b[problem],
                                                 b_type,
                                                 ldb[g],
                                                 static_cast<const float*>(beta) + g,
                                                 c[problem],
                                                 c_type,
                                                 ldc[g],
                                                 compute,
                                                 CUBLAS_GEMM_DEFAULT);
      if (status != CUBLAS_STATUS_SUCCESS) {
        return status;
      }
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}
