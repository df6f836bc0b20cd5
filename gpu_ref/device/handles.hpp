// SPDX-License-Identifier: Apache-2.0
// Names of CUDA's opaque handles, so that host headers need no CUDA header. Each is the type that
// CUDA itself declares: StreamHandle is cudaStream_t, and so on.
#pragma once

struct CUstream_st;
struct CUevent_st;
struct cublasContext;
struct cublasLtContext;
struct ncclComm;

namespace moesim::gpu_ref {

using StreamHandle = ::CUstream_st*;
using EventHandle = ::CUevent_st*;
using BlasHandle = ::cublasContext*;
using BlasLtHandle = ::cublasLtContext*;
using NcclHandle = ::ncclComm*;

}  // namespace moesim::gpu_ref
