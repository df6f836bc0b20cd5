// SPDX-License-Identifier: Apache-2.0
#include <cublasLt.h>

#include "gpu_ref/formats.hpp"

struct cublasLtContext {};

namespace {

using moesim::gpu_ref::Bf16;
using moesim::gpu_ref::Fp8;
using moesim::gpu_ref::to_bf16;
using moesim::gpu_ref::to_float;

constexpr std::int64_t kBlock = 128;

bool is_aligned(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0;
}

/// The one form that is known here: A [k, m] transposed, B [k, n], D [m, n].
bool is_known(const cublasLtMatmulDesc& desc,
              const cublasLtMatrixLayout& a,
              const cublasLtMatrixLayout& b,
              const cublasLtMatrixLayout& d) {
  return desc.transa == CUBLAS_OP_T && desc.transb == CUBLAS_OP_N &&
         desc.a_mode == CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F &&
         desc.b_mode == CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F && a.type == CUDA_R_8F_E4M3 &&
         b.type == CUDA_R_8F_E4M3 && d.type == CUDA_R_16BF && a.rows == b.rows &&
         a.columns == d.rows && b.columns == d.columns && a.rows % 16 == 0 && d.rows % 4 == 0 &&
         d.columns % 4 == 0 && d.columns > 0 && a.leading >= a.rows && b.leading >= b.rows &&
         d.leading >= d.rows && a.leading % 16 == 0 && b.leading % 16 == 0;
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc,
                                        cublasComputeType_t /*compute*/,
                                        cudaDataType_t /*scale*/) {
  *desc = new cublasLtMatmulDesc;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value,
                                              std::size_t bytes) {
  const bool is_pointer = attribute == CUBLASLT_MATMUL_DESC_A_SCALE_POINTER ||
                          attribute == CUBLASLT_MATMUL_DESC_B_SCALE_POINTER;
  if (bytes != (is_pointer ? sizeof(void*) : sizeof(std::int32_t))) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  void* const fields[] = {
      &desc->transa, &desc->transb, &desc->a_scales, &desc->b_scales, &desc->a_mode, &desc->b_mode};
  std::memcpy(fields[attribute], value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout,
                                          cudaDataType_t type,
                                          std::uint64_t rows,
                                          std::uint64_t columns,
                                          std::int64_t leading) {
  *layout = new cublasLtMatrixLayout{
      type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), leading};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
    cublasLtMatmulPreference_t preference,
    cublasLtMatmulPreferenceAttributes_t /*attribute*/,
    const void* value,
    std::size_t bytes) {
  std::memcpy(&preference->workspace, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t /*handle*/,
                                              cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t /*c*/,
                                              cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t /*preference*/,
                                              int /*requested*/,
                                              cublasLtMatmulHeuristicResult_t* results,
                                              int* found) {
  const bool known = is_known(*desc, *a, *b, *d);
  results->algo.chosen = known ? 1 : 0;
  *found = known ? 1 : 0;
  return known ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t /*handle*/,
                              cublasLtMatmulDesc_t desc,
                              const void* alpha,
                              const void* a,
                              cublasLtMatrixLayout_t a_layout,
                              const void* b,
                              cublasLtMatrixLayout_t b_layout,
                              const void* beta,
                              const void* /*c*/,
                              cublasLtMatrixLayout_t /*c_layout*/,
                              void* d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm,
                              void* /*workspace*/,
                              std::size_t /*workspace_bytes*/,
                              cudaStream_t /*stream*/) {
  if (algorithm->chosen == 0 || !is_known(*desc, *a_layout, *b_layout, *d_layout) ||
      *static_cast<const float*>(alpha) != 1.0F || *static_cast<const float*>(beta) != 0.0F) {
    return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (!is_aligned(a) || !is_aligned(b) || !is_aligned(d) || !is_aligned(desc->a_scales) ||
      !is_aligned(desc->b_scales)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const auto* weight = static_cast<const Fp8*>(a);
  const auto* rows = static_cast<const Fp8*>(b);
  const std::int64_t inner = a_layout->rows;
  const std::int64_t blocks = (inner + kBlock - 1) / kBlock;
  const std::int64_t a_stride =
      (blocks + 3) / 4 * 4;  // 128x128 mode: columns of scales, padded to 4
  for (std::int64_t j = 0; j < d_layout->columns; ++j) {
    for (std::int64_t i = 0; i < d_layout->rows; ++i) {
      double sum = 0;
      for (std::int64_t l = 0; l < inner; ++l) {
        const double scale =
            static_cast<double>(desc->a_scales[i / kBlock * a_stride + l / kBlock]) *
            static_cast<double>(desc->b_scales[l / kBlock * d_layout->columns + j]);
        sum += scale * static_cast<double>(to_float(weight[l + i * a_layout->leading])) *
               static_cast<double>(to_float(rows[l + j * b_layout->leading]));
      }
      static_cast<Bf16*>(d)[i + j * d_layout->leading] = to_bf16(static_cast<float>(sum));
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}
