// SPDX-License-Identifier: Apache-2.0
// The live flows of all classes, each class a heap by finishing order. Nodes are reused, so that
// the event loop allocates nothing once the pool has grown.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/ids.hpp"

namespace moesim {

/// A live flow: it drains when its class has served `finish` bytes to each member.
struct Member {
  double finish = 0.0;
  FlowId flow;
  std::int32_t child = -1;
  std::int32_t sibling = -1;
};

/// Pairing heaps over one pool; a heap is the index of its first member to finish, -1 when empty.
/// Source: Fredman, Sedgewick, Sleator, Tarjan, "The pairing heap", Algorithmica 1 (1986).
/// Valid for: at most 2^31 live flows. Cost: O(1) to add, O(log members) amortised to remove.
/// Checked by: class_table_test.
class MemberPool {
 public:
  [[nodiscard]] const Member& operator[](std::int32_t node) const {
    return members_[static_cast<std::size_t>(node)];
  }
  /// Adds a member to a heap and returns the heap.
  std::int32_t add(std::int32_t heap, double finish, FlowId flow);
  /// Removes the first member and returns the rest.
  std::int32_t remove_first(std::int32_t heap);

 private:
  [[nodiscard]] Member& at(std::int32_t node) { return members_[static_cast<std::size_t>(node)]; }
  std::int32_t join(std::int32_t a, std::int32_t b);

  std::vector<Member> members_;
  std::int32_t free_ = -1;  ///< a list through `sibling`
};

}  // namespace moesim
