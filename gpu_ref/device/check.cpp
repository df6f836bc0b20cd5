// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/device/check.hpp"

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <fmt/format.h>
#include <nccl.h>

#include "sim/core/diagnostics.hpp"

namespace moesim::gpu_ref {

void cuda_check(int code, const char* call, const char* file, int line) {
  if (code == cudaSuccess) {
    return;
  }
  const auto error = static_cast<cudaError_t>(code);
  throw EnvironmentError(fmt::format(
      "{}:{}: {}: {}: {}", file, line, call, cudaGetErrorName(error), cudaGetErrorString(error)));
}

void cublas_check(int code, const char* call, const char* file, int line) {
  if (code == CUBLAS_STATUS_SUCCESS) {
    return;
  }
  const auto status = static_cast<cublasStatus_t>(code);
  throw EnvironmentError(fmt::format("{}:{}: {}: {}: {}",
                                     file,
                                     line,
                                     call,
                                     cublasGetStatusName(status),
                                     cublasGetStatusString(status)));
}

void nccl_check(int code, const char* call, const char* file, int line) {
  if (code == ncclSuccess) {
    return;
  }
  throw EnvironmentError(fmt::format("{}:{}: {}: NCCL error {}: {}",
                                     file,
                                     line,
                                     call,
                                     code,
                                     ncclGetErrorString(static_cast<ncclResult_t>(code))));
}

}  // namespace moesim::gpu_ref
