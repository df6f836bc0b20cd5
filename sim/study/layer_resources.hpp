// SPDX-License-Identifier: Apache-2.0
// What dispatch and combine of one layer load: links, and the kernels of ranks that issue and copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/core/units.hpp"
#include "sim/moe/domains.hpp"
#include "sim/step/step.hpp"

namespace moesim {

/// What one unit of traffic adds to one resource.
struct ResourceTerm {
  std::int32_t resource = 0;
  std::int64_t picoseconds = 0;
};

/// Terms of every cell of a matrix of counts, row by row. Empty: the counts load nothing.
struct TermTable {
  std::vector<std::int32_t> begin;
  std::vector<ResourceTerm> terms;

  [[nodiscard]] bool is_used() const { return !terms.empty(); }
  [[nodiscard]] std::span<const ResourceTerm> of(std::size_t cell) const {
    const auto first = static_cast<std::size_t>(begin[cell]);
    return std::span(terms).subspan(first, static_cast<std::size_t>(begin[cell + 1]) - first);
  }
};

/// Busy time of resource i, in whole picoseconds, so that sums are exact in any order:
///
///   load[i] = sum over (rank r, source s) of copies[r, s] * term + assignments[r, s] * term
///             + sum over (domain d, source s) of relayed[d, s] * term
///
/// copies: distinct (token, rank) pairs; assignments: (token, expert) pairs; relayed: distinct
/// (token, domain) pairs of other domains. Which of them count follows from the dispatcher, as in
/// sim/moe. Terms: for each link of the path, share * (bytes + message_overhead) / effective
/// capacity; for each rank, message_gap and bytes / copy rate of its kernel. Resources
/// [0, num_dispatch) are of the dispatch, the rest of the combine. A resource that another one
/// outweighs in every cell is left out.
/// Valid for: any fabric, path choice and dispatcher. Left out: rounds of nccl, the notify round,
/// latencies, and the gaps of messages where one message carries all rows of a pair.
/// Checked by: layer_resources_test (equals the loads of plan_counted's transfers).
struct LayerResources {
  Domains domains;
  TermTable copies;       ///< [rank * ranks + source]
  TermTable assignments;  ///< [rank * ranks + source]
  TermTable relayed;      ///< [domain * ranks + source]
  std::size_t num_dispatch = 0;
  std::size_t num_resources = 0;
};

/// Whether every assignment is sent for itself: low_latency, nccl, two_dimensional.
[[nodiscard]] bool counts_assignments(DispatcherKind kind);

/// Whether one message carries all rows of a pair, so that rows cost no message: nccl,
/// two_dimensional.
[[nodiscard]] bool merges_messages(DispatcherKind kind);

/// @param slots  of a layer: copies of some dispatchers carry weights by slot
[[nodiscard]] LayerResources layer_resources(const StepModel& model, int slots);

}  // namespace moesim
