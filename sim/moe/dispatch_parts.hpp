// SPDX-License-Identifier: Apache-2.0
// What the dispatchers share: the routing counted per pair of ranks, and the three ways to turn
// those counts into transfers. Not for use outside sim/moe.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/moe/dispatch.hpp"

namespace moesim {

/// A dense matrix of counts, row-major.
struct CountMatrix {
  std::size_t columns = 0;
  std::vector<std::int64_t> counts;

  CountMatrix(std::size_t num_rows, std::size_t num_columns)
      : columns(num_columns), counts(num_rows * num_columns) {}
  [[nodiscard]] std::int64_t& at(std::size_t row, std::size_t column) {
    return counts[row * columns + column];
  }
  [[nodiscard]] std::int64_t at(std::size_t row, std::size_t column) const {
    return counts[row * columns + column];
  }
};

/// Accepted assignments of a layer, counted.
struct RankCounts {
  CountMatrix copies;       ///< [source rank][rank] distinct (token, rank) pairs, own included
  CountMatrix assignments;  ///< [source rank][rank] own included
  CountMatrix relayed;      ///< [source rank][domain] distinct (token, domain) pairs, own included
  std::vector<std::int64_t> slot_tokens;
  std::vector<std::int64_t> slot_rows = {};  ///< padded shapes only: rows that each slot computes
};

[[nodiscard]] RankCounts count_ranks(const Routing& routing,
                                     const Accepted& accepted,
                                     const Placement& placement,
                                     const Domains& domains);

/// Static shapes: every source sends rows_of_source rows to every slot, whatever was accepted, and
/// every slot computes them all. Copies are those rows: buffers hold no token twice, so nothing is
/// saved. Leaves `relayed` as it was: no padded hierarchical dispatch.
void pad_counts(const std::vector<std::int64_t>& rows_of_source,
                const Placement& placement,
                RankCounts& counts);

/// What a round that exchanges counts and an all-gather need of the routing.
struct RoutedTokens {
  std::int64_t num_slots = 0;        ///< physical experts: what kernels count by
  std::vector<std::int64_t> tokens;  ///< of each rank
};
[[nodiscard]] RoutedTokens routed_tokens(const Routing& routing, const Placement& placement);

/// Both phases of the dispatcher from counted assignments.
[[nodiscard]] LayerTraffic plan_counted(RankCounts counts,
                                        const RoutedTokens& routed,
                                        const Domains& domains,
                                        const DispatchSetup& setup);

/// Appends `messages` of `bytes_each` unless there are none.
void add_transfer(CommPlan& plan, Transfer transfer, std::int64_t bytes_each);

/// counts[source][destination] messages straight there; those to the source's own rank stay.
[[nodiscard]] std::vector<Transfer> direct_transfers(const CountMatrix& counts,
                                                     std::int64_t bytes_each);
/// counts[source][destination] messages back, destination -> source.
[[nodiscard]] std::vector<Transfer> reverse_transfers(const CountMatrix& counts,
                                                      std::int64_t bytes_each);

/// Makes one message of each transfer: a library call moves the rows of a pair in one go.
void merge_messages(CommPlan& plan);

/// What a collective over all tokens moves: tokens[source] to every rank and domain.
[[nodiscard]] RankCounts full_counts(const std::vector<std::int64_t>& tokens,
                                     const Domains& domains);

/// The two phases of each dispatcher, transfers only, in order.
void plan_pairwise(const RankCounts& counts, CopyBytes copy, LayerTraffic& traffic);
void plan_low_latency(const RankCounts& counts, CopyBytes copy, LayerTraffic& traffic);
void plan_hierarchical(const RankCounts& counts,
                       const Domains& domains,
                       CopyBytes copy,
                       LayerTraffic& traffic);
void plan_nccl(const RankCounts& counts,
               const Domains& domains,
               CopyBytes copy,
               LayerTraffic& traffic);
void plan_two_dimensional(const RankCounts& counts,
                          const Domains& domains,
                          CopyBytes copy,
                          LayerTraffic& traffic);
void plan_all_gather(const std::vector<std::int64_t>& tokens,
                     const Domains& domains,
                     CopyBytes copy,
                     LayerTraffic& traffic);

/// The transfers of the round that exchanges counts; none where has_notify is false. Bytes of one
/// message, e = slots of a rank, L = ranks of the domain:
///   pairwise, two_sided        4 (e + 1) to every rank
///   nccl, two_dimensional      8 num_slots to every rank
///   hierarchical               4 (L e + L + 1) over the rail, 4 (e + 1) on to every rank of the
///   domain hybrid_ep                  num_slots a token to every rank, over the rail and
///   forwarded
/// Source: docs/dispatchers.md. Checked by: dispatch_kinds_test, dispatcher_tasks_test.
[[nodiscard]] CommPlan plan_notify(DispatcherKind kind,
                                   const RoutedTokens& size,
                                   const Domains& domains);

}  // namespace moesim
