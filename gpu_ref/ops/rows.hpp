// SPDX-License-Identifier: Apache-2.0
// Rows moved between orders: token order, send order, receive order, expert order.
#pragma once

#include <cstdint>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {

struct SpreadShape {
  std::int64_t num_tokens = 0;
  int top_k = 0;
  int row_bytes = 0;  ///< multiple of 4; 16-byte accesses where it is a multiple of 16
};

/// rows[row_of_assignment[t, k], :] = x[t, :]   the permutation of the dispatch.
///   x [num_tokens, row_bytes] | row_of_assignment [num_tokens, top_k] i32, -1: no row
///   rows [num_rows, row_bytes], a row for every assignment that has one
/// A block a token, which reads its row once. Moves (T + rows) * row_bytes + 4 T k bytes.
void spread_rows(const void* x,
                 const std::int32_t* row_of_assignment,
                 void* rows,
                 const SpreadShape& shape,
                 StreamHandle stream);

struct RowsShape {
  std::int64_t num_rows = 0;  ///< length of the index
  int row_bytes = 0;          ///< multiple of 4; 16-byte accesses where it is a multiple of 16
};

/// out[i, :] = in[index[i], :], zero where index[i] is -1.
///   index [num_rows] i32 | out [num_rows, row_bytes]
/// A block a row. Moves 2 rows * row_bytes + 4 rows bytes.
void gather_rows(const void* in,
                 const std::int32_t* index,
                 void* out,
                 const RowsShape& shape,
                 StreamHandle stream);

/// out[index[i], :] = in[i, :], nothing where index[i] is -1; no target twice.
/// The inverse of gather_rows; moves the same.
void scatter_rows(const void* in,
                  const std::int32_t* index,
                  void* out,
                  const RowsShape& shape,
                  StreamHandle stream);

/// A run of rows that stay together: rows [from, from + count) of one order are [to, to + count) of
/// the other.
struct RowRun {
  std::int32_t from = 0;
  std::int32_t to = 0;
  std::int32_t count = 0;
};

/// index[to + i] = from + i for every run, -1 everywhere else.
///   runs [num_runs] on the device, their targets apart | index [num_rows] i32
void index_of_runs(const RowRun* runs,
                   int num_runs,
                   std::int32_t* index,
                   std::int64_t num_rows,
                   StreamHandle stream);

}  // namespace moesim::gpu_ref
