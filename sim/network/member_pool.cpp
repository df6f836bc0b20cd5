// SPDX-License-Identifier: Apache-2.0
#include "sim/network/member_pool.hpp"

#include <utility>

namespace moesim {

std::int32_t MemberPool::add(std::int32_t heap, double finish, FlowId flow) {
  std::int32_t node = free_;
  if (node >= 0) {
    free_ = at(node).sibling;
    at(node) = {.finish = finish, .flow = flow};
  } else {
    node = static_cast<std::int32_t>(members_.size());
    members_.push_back({.finish = finish, .flow = flow});
  }
  return join(heap, node);
}

/// Two heaps as one: the later root becomes the first child of the earlier. Equal members by flow.
std::int32_t MemberPool::join(std::int32_t a, std::int32_t b) {
  if (a < 0 || b < 0) {
    return a < 0 ? b : a;
  }
  if (at(b).finish < at(a).finish || (at(b).finish == at(a).finish && at(b).flow < at(a).flow)) {
    std::swap(a, b);
  }
  at(b).sibling = at(a).child;
  at(a).child = b;
  return a;
}

/// The children join in pairs from the first to the last, the pairs from the last to the first.
std::int32_t MemberPool::remove_first(std::int32_t heap) {
  std::int32_t next = at(heap).child;
  at(heap).sibling = free_;
  free_ = heap;
  std::int32_t pairs = -1;
  while (next >= 0) {
    const std::int32_t a = next;
    const std::int32_t b = at(a).sibling;
    next = b < 0 ? -1 : at(b).sibling;
    at(a).sibling = -1;
    if (b >= 0) {
      at(b).sibling = -1;
    }
    const std::int32_t pair = join(a, b);
    at(pair).sibling = pairs;
    pairs = pair;
  }
  std::int32_t root = -1;
  while (pairs >= 0) {
    const std::int32_t pair = pairs;
    pairs = at(pair).sibling;
    at(pair).sibling = -1;
    root = join(root, pair);
  }
  return root;
}

}  // namespace moesim
