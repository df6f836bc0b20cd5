// SPDX-License-Identifier: Apache-2.0
// Counting copies of tokens between ranks: what all dispatchers share. Not part of the public interface.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/dispatch.hpp"

namespace moesim {

/// Rank-level view of one routing: where each accepted assignment goes.
class AssignmentScan {
 public:
  AssignmentScan(const Routing& routing, const Accepted& accepted, const Placement& placement);

  /// Calls visit(source, ranks) per token, ranks being those of its accepted assignments (repeats
  /// possible, in slot order).
  template <typename Visit>
  void for_each_token(Visit visit) const {
    const auto top_k = static_cast<std::size_t>(routing_.top_k);
    std::vector<std::int32_t> ranks(top_k);
    for (int source = 0; source < routing_.num_ranks(); ++source) {
      const auto first = static_cast<std::size_t>(routing_.token_begin[static_cast<std::size_t>(source)]);
      const auto last = static_cast<std::size_t>(routing_.token_begin[static_cast<std::size_t>(source) + 1]);
      for (std::size_t token = first; token < last; ++token) {
        std::size_t count = 0;
        for (std::size_t a = token * top_k; a < (token + 1) * top_k; ++a) {
          ranks[count] = rank_of_expert_[routing_.experts[a]];
          count += accepted_.is_kept(a) ? 1 : 0;
        }
        visit(source, std::span<const std::int32_t>(ranks.data(), count));
      }
    }
  }

  /// Accepted assignments per slot.
  [[nodiscard]] std::vector<std::int64_t> slot_tokens(const Placement& placement) const;

 private:
  const Routing& routing_;
  const Accepted& accepted_;
  std::vector<std::int32_t> rank_of_expert_;
};

/// A set of small integers that empties in O(1): distinct ranks or domains of one token.
class StampSet {
 public:
  explicit StampSet(std::size_t size) : stamp_(size) {}
  void clear() { ++now_; }
  /// True when the value was not yet in the set.
  bool insert(std::int32_t value) {
    std::uint32_t& stamp = stamp_[static_cast<std::size_t>(value)];
    if (stamp == now_) {
      return false;
    }
    stamp = now_;
    return true;
  }

 private:
  std::vector<std::uint32_t> stamp_;
  std::uint32_t now_ = 0;
};

/// Counts of copies per (row, column).
struct CountMatrix {
  std::size_t columns = 0;
  std::vector<std::int64_t> counts;

  CountMatrix(std::size_t rows, std::size_t width) : columns(width), counts(rows * width) {}
  std::int64_t& at(std::size_t row, std::size_t column) { return counts[row * columns + column]; }
  [[nodiscard]] std::int64_t at(std::size_t row, std::size_t column) const {
    return counts[row * columns + column];
  }
};

/// Transfers straight from each rank to each other: `copies` of `bytes_per_copy` each. `reversed`
/// sends from column to row (combine).
void add_direct(CommPlan& plan, const CountMatrix& copies, std::int64_t bytes_per_copy, bool reversed);

[[nodiscard]] LayerTraffic plan_pairwise(const AssignmentScan& scan, const DispatchSetup& setup);
[[nodiscard]] LayerTraffic plan_low_latency(const AssignmentScan& scan, const DispatchSetup& setup);
[[nodiscard]] LayerTraffic plan_hierarchical(const AssignmentScan& scan, const DispatchSetup& setup);

}  // namespace moesim
