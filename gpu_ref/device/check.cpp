// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/device/check.hpp"

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <nccl.h>

#include <string>

#include "sim/core/diagnostics.hpp"

namespace moesim::gpu_ref {
namespace {

/// "file:line: call: what"
[[noreturn]] void fail(const char* call, const char* file, int line, const std::string& what) {
  throw EnvironmentError(std::string(file) + ":" + std::to_string(line) + ": " + call + ": " +
                         what);
}

}  // namespace

void cuda_check(int code, const char* call, const char* file, int line) {
  if (code != cudaSuccess) {
    const auto error = static_cast<cudaError_t>(code);
    fail(call, file, line, std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error));
  }
}

void cublas_check(int code, const char* call, const char* file, int line) {
  if (code != CUBLAS_STATUS_SUCCESS) {
    const auto status = static_cast<cublasStatus_t>(code);
    fail(call,
         file,
         line,
         std::string(cublasGetStatusName(status)) + ": " + cublasGetStatusString(status));
  }
}

void nccl_check(int code, const char* call, const char* file, int line) {
  if (code != ncclSuccess) {
    fail(call,
         file,
         line,
         "NCCL error " + std::to_string(code) + ": " +
             ncclGetErrorString(static_cast<ncclResult_t>(code)));
  }
}

}  // namespace moesim::gpu_ref
