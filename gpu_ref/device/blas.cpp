// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/device/blas.hpp"

#include <cublasLt.h>
#include <cublas_v2.h>

#include "gpu_ref/device/check.hpp"

namespace moesim::gpu_ref {
namespace {

/// cublasSetStream resets the workspace, so it comes first. Sums stay in f32: no reductions in
/// bf16.
void configure(BlasHandle handle, StreamHandle stream, void* workspace) {
  MOESIM_CUBLAS_CHECK(cublasSetStream(handle, stream));
  MOESIM_CUBLAS_CHECK(cublasSetWorkspace(handle, workspace, kBlasWorkspaceBytes));
  MOESIM_CUBLAS_CHECK(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_HOST));
  MOESIM_CUBLAS_CHECK(cublasSetMathMode(
      handle,
      static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH |
                                CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)));
}

}  // namespace

Blas::Blas(StreamHandle stream) : workspace_(kBlasWorkspaceBytes), stream_(stream) {
  MOESIM_CUBLAS_CHECK(cublasCreate(&handle_));
  try {
    configure(handle_, stream, workspace_.data());
    MOESIM_CUBLAS_CHECK(cublasLtCreate(&lt_handle_));
  } catch (...) {
    MOESIM_CUDA_IGNORE(cublasDestroy(handle_));
    throw;
  }
}

Blas::~Blas() {
  MOESIM_CUDA_IGNORE(cublasLtDestroy(lt_handle_));
  MOESIM_CUDA_IGNORE(cublasDestroy(handle_));
}

}  // namespace moesim::gpu_ref
