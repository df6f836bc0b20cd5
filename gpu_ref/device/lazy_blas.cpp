// SPDX-License-Identifier: Apache-2.0
// cuBLAS and cuBLASLt, opened when the first of their functions is called. Linking against them
// costs every start of a program a tenth of a second, also of one that never asks for a GPU. Only
// the functions that gpu_ref calls are here; a new one is a link error until it is added.
#include <cublasLt.h>
#include <cublas_v2.h>
#include <dlfcn.h>

#include <string>

#include "sim/core/diagnostics.hpp"

// Signatures are cuBLAS's own; addresses are constant once found.
// NOLINTBEGIN(readability-identifier-naming,readability-function-size,cppcoreguidelines-avoid-non-const-global-variables)
namespace {

/// By its name, as the loader finds it, then from where the build found it. Never closed.
void* open_library(const char* name, const char* path) {
  void* library = dlopen(name, RTLD_NOW);
  if (library == nullptr) {
    library = dlopen(path, RTLD_NOW);
  }
  if (library == nullptr) {
    throw moesim::EnvironmentError(std::string("cannot open ") + name + ": " + dlerror());
  }
  return library;
}

void* blas() {
  static void* const library = open_library(MOESIM_CUBLAS_NAME, MOESIM_CUBLAS_PATH);
  return library;
}

void* blas_lt() {
  static void* const library = open_library(MOESIM_CUBLASLT_NAME, MOESIM_CUBLASLT_PATH);
  return library;
}

void* lookup(void* library, const char* name) {
  void* const address = dlsym(library, name);
  if (address == nullptr) {
    throw moesim::EnvironmentError(std::string("cannot find ") + name + ": " + dlerror());
  }
  return address;
}

template <typename Result, typename... Arguments>
Result call(void* address, Arguments... arguments) {
  return reinterpret_cast<Result (*)(Arguments...)>(address)(arguments...);
}

}  // namespace

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  static void* const address = lookup(blas(), "cublasCreate_v2");
  return call<cublasStatus_t>(address, handle);
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  static void* const address = lookup(blas(), "cublasDestroy_v2");
  return call<cublasStatus_t>(address, handle);
}

cublasStatus_t cublasGetProperty(libraryPropertyType type, int* value) {
  static void* const address = lookup(blas(), "cublasGetProperty");
  return call<cublasStatus_t>(address, type, value);
}

const char* cublasGetStatusName(cublasStatus_t status) {
  static void* const address = lookup(blas(), "cublasGetStatusName");
  return call<const char*>(address, status);
}

const char* cublasGetStatusString(cublasStatus_t status) {
  static void* const address = lookup(blas(), "cublasGetStatusString");
  return call<const char*>(address, status);
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  static void* const address = lookup(blas(), "cublasSetMathMode");
  return call<cublasStatus_t>(address, handle, mode);
}

cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
  static void* const address = lookup(blas(), "cublasSetPointerMode_v2");
  return call<cublasStatus_t>(address, handle, mode);
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t streamId) {
  static void* const address = lookup(blas(), "cublasSetStream_v2");
  return call<cublasStatus_t>(address, handle, streamId);
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle,
                                  void* workspace,
                                  size_t workspaceSizeInBytes) {
  static void* const address = lookup(blas(), "cublasSetWorkspace_v2");
  return call<cublasStatus_t>(address, handle, workspace, workspaceSizeInBytes);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle,
                            cublasOperation_t transa,
                            cublasOperation_t transb,
                            int m,
                            int n,
                            int k,
                            const void* alpha,
                            const void* A,
                            cudaDataType Atype,
                            int lda,
                            const void* B,
                            cudaDataType Btype,
                            int ldb,
                            const void* beta,
                            void* C,
                            cudaDataType Ctype,
                            int ldc,
                            cublasComputeType_t computeType,
                            cublasGemmAlgo_t algo) {
  static void* const address = lookup(blas(), "cublasGemmEx");
  return call<cublasStatus_t>(address,
                              handle,
                              transa,
                              transb,
                              m,
                              n,
                              k,
                              alpha,
                              A,
                              Atype,
                              lda,
                              B,
                              Btype,
                              ldb,
                              beta,
                              C,
                              Ctype,
                              ldc,
                              computeType,
                              algo);
}

cublasStatus_t cublasGemmGroupedBatchedEx(cublasHandle_t handle,
                                          const cublasOperation_t transa_array[],
                                          const cublasOperation_t transb_array[],
                                          const int m_array[],
                                          const int n_array[],
                                          const int k_array[],
                                          const void* alpha_array,
                                          const void* const Aarray[],
                                          cudaDataType_t Atype,
                                          const int lda_array[],
                                          const void* const Barray[],
                                          cudaDataType_t Btype,
                                          const int ldb_array[],
                                          const void* beta_array,
                                          void* const Carray[],
                                          cudaDataType_t Ctype,
                                          const int ldc_array[],
                                          int group_count,
                                          const int group_size[],
                                          cublasComputeType_t computeType) {
  static void* const address = lookup(blas(), "cublasGemmGroupedBatchedEx");
  return call<cublasStatus_t>(address,
                              handle,
                              transa_array,
                              transb_array,
                              m_array,
                              n_array,
                              k_array,
                              alpha_array,
                              Aarray,
                              Atype,
                              lda_array,
                              Barray,
                              Btype,
                              ldb_array,
                              beta_array,
                              Carray,
                              Ctype,
                              ldc_array,
                              group_count,
                              group_size,
                              computeType);
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t* lightHandle) {
  static void* const address = lookup(blas_lt(), "cublasLtCreate");
  return call<cublasStatus_t>(address, lightHandle);
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t lightHandle) {
  static void* const address = lookup(blas_lt(), "cublasLtDestroy");
  return call<cublasStatus_t>(address, lightHandle);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle,
                              cublasLtMatmulDesc_t computeDesc,
                              const void* alpha,
                              const void* A,
                              cublasLtMatrixLayout_t Adesc,
                              const void* B,
                              cublasLtMatrixLayout_t Bdesc,
                              const void* beta,
                              const void* C,
                              cublasLtMatrixLayout_t Cdesc,
                              void* D,
                              cublasLtMatrixLayout_t Ddesc,
                              const cublasLtMatmulAlgo_t* algo,
                              void* workspace,
                              size_t workspaceSizeInBytes,
                              cudaStream_t stream) {
  static void* const address = lookup(blas_lt(), "cublasLtMatmul");
  return call<cublasStatus_t>(address,
                              lightHandle,
                              computeDesc,
                              alpha,
                              A,
                              Adesc,
                              B,
                              Bdesc,
                              beta,
                              C,
                              Cdesc,
                              D,
                              Ddesc,
                              algo,
                              workspace,
                              workspaceSizeInBytes,
                              stream);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t lightHandle,
    cublasLtMatmulDesc_t operationDesc,
    cublasLtMatrixLayout_t Adesc,
    cublasLtMatrixLayout_t Bdesc,
    cublasLtMatrixLayout_t Cdesc,
    cublasLtMatrixLayout_t Ddesc,
    cublasLtMatmulPreference_t preference,
    int requestedAlgoCount,
    cublasLtMatmulHeuristicResult_t heuristicResultsArray[],
    int* returnAlgoCount) {
  static void* const address = lookup(blas_lt(), "cublasLtMatmulAlgoGetHeuristic");
  return call<cublasStatus_t>(address,
                              lightHandle,
                              operationDesc,
                              Adesc,
                              Bdesc,
                              Cdesc,
                              Ddesc,
                              preference,
                              requestedAlgoCount,
                              heuristicResultsArray,
                              returnAlgoCount);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* matmulDesc,
                                        cublasComputeType_t computeType,
                                        cudaDataType_t scaleType) {
  static void* const address = lookup(blas_lt(), "cublasLtMatmulDescCreate");
  return call<cublasStatus_t>(address, matmulDesc, computeType, scaleType);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc) {
  static void* const address = lookup(blas_lt(), "cublasLtMatmulDescDestroy");
  return call<cublasStatus_t>(address, matmulDesc);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc,
                                              cublasLtMatmulDescAttributes_t attr,
                                              const void* buf,
                                              size_t sizeInBytes) {
  static void* const address = lookup(blas_lt(), "cublasLtMatmulDescSetAttribute");
  return call<cublasStatus_t>(address, matmulDesc, attr, buf, sizeInBytes);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* pref) {
  static void* const address = lookup(blas_lt(), "cublasLtMatmulPreferenceCreate");
  return call<cublasStatus_t>(address, pref);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref) {
  static void* const address = lookup(blas_lt(), "cublasLtMatmulPreferenceDestroy");
  return call<cublasStatus_t>(address, pref);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
                                                    cublasLtMatmulPreferenceAttributes_t attr,
                                                    const void* buf,
                                                    size_t sizeInBytes) {
  static void* const address = lookup(blas_lt(), "cublasLtMatmulPreferenceSetAttribute");
  return call<cublasStatus_t>(address, pref, attr, buf, sizeInBytes);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* matLayout,
                                          cudaDataType type,
                                          uint64_t rows,
                                          uint64_t cols,
                                          int64_t ld) {
  static void* const address = lookup(blas_lt(), "cublasLtMatrixLayoutCreate");
  return call<cublasStatus_t>(address, matLayout, type, rows, cols, ld);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout) {
  static void* const address = lookup(blas_lt(), "cublasLtMatrixLayoutDestroy");
  return call<cublasStatus_t>(address, matLayout);
}
// NOLINTEND(readability-identifier-naming,readability-function-size,cppcoreguidelines-avoid-non-const-global-variables)
