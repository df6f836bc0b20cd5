// SPDX-License-Identifier: Apache-2.0
// What every call into CUDA, cuBLAS and NCCL is wrapped in: an error throws EnvironmentError
// "file:line: call: NAME: description". Destructors use MOESIM_CUDA_IGNORE: they cannot throw.
#pragma once

namespace moesim::gpu_ref {

void cuda_check(int code, const char* call, const char* file, int line);
void cublas_check(int code, const char* call, const char* file, int line);
void nccl_check(int code, const char* call, const char* file, int line);

}  // namespace moesim::gpu_ref

#define MOESIM_CUDA_CHECK(call) \
  ::moesim::gpu_ref::cuda_check(static_cast<int>(call), #call, __FILE__, __LINE__)
#define MOESIM_CUBLAS_CHECK(call) \
  ::moesim::gpu_ref::cublas_check(static_cast<int>(call), #call, __FILE__, __LINE__)
#define MOESIM_NCCL_CHECK(call) \
  ::moesim::gpu_ref::nccl_check(static_cast<int>(call), #call, __FILE__, __LINE__)
#define MOESIM_CUDA_IGNORE(call) static_cast<void>(call)
