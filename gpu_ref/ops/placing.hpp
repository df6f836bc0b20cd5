// SPDX-License-Identifier: Apache-2.0
// From assignments to rows of the dispatch buffer: counts, capacity, places. The order of service
// is token order, slots of a token in theirs, as in the simulator.
#pragma once

#include <cstdint>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/ops/topk.hpp"

namespace moesim::gpu_ref {

/// Assignments that one block orders.
constexpr int kChunkAssignments = 1024;

/// Chunks of `assignments`.
[[nodiscard]] constexpr std::int64_t num_chunks(std::int64_t assignments) {
  return (assignments + kChunkAssignments - 1) / kChunkAssignments;
}

/// counts[e] = assignments of expert e; chunk_begins[c, e] = those in chunks before c.
///   experts [num_tokens, top_k] i32, an expert < 0 counts nowhere
///   chunk_begins [num_chunks(num_tokens * top_k), num_experts] i32 | counts [num_experts] i32
/// A block a chunk, then a scan down the chunks. Moves 4 T k + 12 chunks E bytes.
void count_assignments(const std::int32_t* experts,
                       const TopkShape& shape,
                       std::int32_t* chunk_begins,
                       std::int32_t* counts,
                       StreamHandle stream);

/// Where the assignments of a rank go, on the device.
struct PlacingInputs {
  const std::int32_t* experts = nullptr;       ///< [num_tokens, top_k], < 0: dropped already
  const std::int32_t* chunk_begins = nullptr;  ///< as count_assignments left them
  const std::int32_t* quota = nullptr;         ///< [num_experts] assignments kept of each expert
  const std::int32_t* row_begin = nullptr;     ///< [num_experts] first row of each expert
};

/// row_of_assignment[t * top_k + k]: row_begin[e] + position of the assignment among those of its
/// expert e, or -1 if the position is not below quota[e] (dropped).
///   row_of_assignment [num_tokens * top_k] i32
/// A block a chunk. Moves 8 T k + 12 chunks E bytes.
void place_assignments(const PlacingInputs& in,
                       const TopkShape& shape,
                       std::int32_t* row_of_assignment,
                       StreamHandle stream);

/// Next-best expert: while assignments overflow, each takes its token's best expert not tried yet.
/// In rounds: all waiting assignments are served in order; an expert keeps the first up to its
/// capacity, also over the rounds; the others wait for the next round with the expert of largest
/// choice that no slot of their token has tried (the token's own experts count as tried; ties:
/// lower expert; choice -infinity is no candidate), and are dropped (-1) when none is left.
///   experts [num_tokens, top_k] i32, changed in place
///   choice [num_tokens, num_experts] f32 (TopkOutputs)
///   tried [num_tokens, 32] u32, scratch: bit j of word l is expert l + 32 j
///   capacity > 0: assignments an expert keeps
/// One block, since each round depends on the one before: for fidelity, not speed. Reads
/// rounds * T (4 k + 4 E) bytes at most.
/// Source: "no token left behind", Switch Transformers (arXiv 2101.03961), appendix B.
void divert_overflow(std::int32_t* experts,
                     const float* choice,
                     std::uint32_t* tried,
                     std::int64_t capacity,
                     const TopkShape& shape,
                     StreamHandle stream);

/// weights[t, k] = scale * scores[t, experts[t, k]], over the sum of the token's if
/// gate.renormalise; 0 where experts is < 0. For routings whose experts were not chosen by top-k
/// alone.
///   experts, weights [num_tokens, top_k] | scores [num_tokens, num_experts] f32
void weigh_choice(const std::int32_t* experts,
                  const float* scores,
                  const GateSpec& gate,
                  const TopkShape& shape,
                  float* weights,
                  StreamHandle stream);

}  // namespace moesim::gpu_ref
