// SPDX-License-Identifier: Apache-2.0
// gather_rows, scatter_rows and index_of_runs: see rows.hpp.
#include <stdexcept>
#include <string>

#include "gpu_ref/device/buffer.hpp"
#include "gpu_ref/device/launch.cuh"
#include "gpu_ref/ops/rows.hpp"

namespace moesim::gpu_ref {
namespace {

constexpr int kThreads = 256;

template <typename Vector>
__global__ void __launch_bounds__(kThreads)
    gather_rows_kernel(const Vector* in, const std::int32_t* index, Vector* out, int vectors) {
  const auto row = static_cast<std::int64_t>(blockIdx.x);
  const std::int64_t source = index[row];
  for (int i = static_cast<int>(threadIdx.x); i < vectors; i += kThreads) {
    out[row * vectors + i] = source >= 0 ? in[source * vectors + i] : Vector{};
  }
}

template <typename Vector>
__global__ void __launch_bounds__(kThreads)
    scatter_rows_kernel(const Vector* in, const std::int32_t* index, Vector* out, int vectors) {
  const auto row = static_cast<std::int64_t>(blockIdx.x);
  const std::int64_t target = index[row];
  if (target < 0) {
    return;
  }
  for (int i = static_cast<int>(threadIdx.x); i < vectors; i += kThreads) {
    out[target * vectors + i] = in[row * vectors + i];
  }
}

__global__ void index_of_runs_kernel(const RowRun* runs, std::int32_t* index) {
  const RowRun run = runs[blockIdx.x];
  for (int i = static_cast<int>(threadIdx.x); i < run.count; i += kThreads) {
    index[run.to + i] = run.from + i;
  }
}

template <typename Vector>
using RowsKernel = void (*)(const Vector*, const std::int32_t*, Vector*, int);

template <typename Vector>
void launch_rows(RowsKernel<Vector> kernel,
                 const void* in,
                 const std::int32_t* index,
                 void* out,
                 const RowsShape& shape,
                 StreamHandle stream) {
  launch(kernel,
         {shape.num_rows, kThreads},
         stream,
         static_cast<const Vector*>(in),
         index,
         static_cast<Vector*>(out),
         shape.row_bytes / static_cast<int>(sizeof(Vector)));
}

void check_rows(const char* who, const RowsShape& shape) {
  if (shape.row_bytes < 4 || shape.row_bytes % 4 != 0) {
    throw std::invalid_argument(std::string(who) + ": row_bytes is not a positive multiple of 4");
  }
}

bool is_wide(const RowsShape& shape) {
  return shape.row_bytes % static_cast<int>(sizeof(uint4)) == 0;
}

}  // namespace

void gather_rows(const void* in,
                 const std::int32_t* index,
                 void* out,
                 const RowsShape& shape,
                 StreamHandle stream) {
  check_rows("gather_rows", shape);
  if (shape.num_rows == 0) {
    return;
  }
  if (is_wide(shape)) {
    launch_rows<uint4>(gather_rows_kernel<uint4>, in, index, out, shape, stream);
  } else {
    launch_rows<unsigned>(gather_rows_kernel<unsigned>, in, index, out, shape, stream);
  }
}

void scatter_rows(const void* in,
                  const std::int32_t* index,
                  void* out,
                  const RowsShape& shape,
                  StreamHandle stream) {
  check_rows("scatter_rows", shape);
  if (shape.num_rows == 0) {
    return;
  }
  if (is_wide(shape)) {
    launch_rows<uint4>(scatter_rows_kernel<uint4>, in, index, out, shape, stream);
  } else {
    launch_rows<unsigned>(scatter_rows_kernel<unsigned>, in, index, out, shape, stream);
  }
}

void index_of_runs(const RowRun* runs,
                   int num_runs,
                   std::int32_t* index,
                   std::int64_t num_rows,
                   StreamHandle stream) {
  fill_bytes(index, 0xff, static_cast<std::size_t>(num_rows) * sizeof(std::int32_t), stream);
  if (num_runs > 0) {
    launch(index_of_runs_kernel, {num_runs, kThreads}, stream, runs, index);
  }
}

}  // namespace moesim::gpu_ref
