// SPDX-License-Identifier: Apache-2.0
// From the assignment counts of all ranks to one rank's rows: what it keeps, sends, receives, and
// how received rows become expert-major. Plain values, no CUDA.
//
// Orders of rows. Send order: by slot (so by destination rank), then token, then slot of the token.
// Receive order: by source rank, then local slot. Expert order: by local slot, then source rank.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gpu_ref/ops/rows.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref {

/// Assignments of every rank to every expert.
struct CountMatrix {
  int ranks = 0;
  int experts = 0;
  std::vector<std::int32_t> counts;  ///< [ranks, experts]

  [[nodiscard]] std::int32_t at(int rank, int expert) const {
    return counts[static_cast<std::size_t>(rank) * static_cast<std::size_t>(experts) +
                  static_cast<std::size_t>(expert)];
  }
  [[nodiscard]] std::span<const std::int32_t> of_rank(int rank) const {
    return std::span(counts).subspan(
        static_cast<std::size_t>(rank) * static_cast<std::size_t>(experts),
        static_cast<std::size_t>(experts));
  }
};

/// Counts of a routing of all ranks: rank r owns tokens [token_begin[r], token_begin[r + 1]) of
/// experts [tokens, top_k]; an expert < 0 counts nowhere.
[[nodiscard]] CountMatrix count_matrix(std::span<const std::int32_t> experts,
                                       std::span<const std::int32_t> token_begin,
                                       const LayerShape& shape);

/// What capacity leaves of the counts. kDrop: an expert keeps the first C assignments of each scope
/// in order of service, C from the tokens of the scope (counts / top_k). kNone, kNextBest: all (the
/// latter has diverted or dropped its overflow before counting).
/// Checked by: capacity_agreement_test, against the simulator's apply_capacity.
[[nodiscard]] CountMatrix kept_counts(const LayerSpec& spec, const CountMatrix& assignments);

/// Rows that one peer sends or receives.
struct PeerRows {
  int peer = 0;
  std::int64_t first = 0;
  std::int64_t count = 0;

  bool operator==(const PeerRows&) const = default;
};

/// One rank's part of a layer pass.
struct RankPlan {
  std::vector<std::int32_t> quota;             ///< [experts] assignments this rank keeps of each
  std::vector<std::int32_t> row_begin;         ///< [experts] first row of each in send order
  std::vector<PeerRows> sends;                 ///< [ranks] in send order
  std::vector<PeerRows> receives;              ///< [ranks] in receive order
  std::vector<RowRun> runs;                    ///< receive order -> expert order, no empty run
  std::vector<std::int64_t> expert_row_begin;  ///< [slots_per_rank + 1] in expert order
  std::int64_t send_rows = 0;
  std::int64_t receive_rows = 0;

  /// Rows in expert order, padding included.
  [[nodiscard]] std::int64_t expert_rows() const { return expert_row_begin.back(); }
};

/// The plan of `rank` from the kept counts of all ranks. Rows of an expert are padded to a multiple
/// of kFp8RowMultiple in Precision::kFp8, else not.
[[nodiscard]] RankPlan plan_rank(const LayerSpec& spec, int rank, const CountMatrix& kept);

}  // namespace moesim::gpu_ref
