// SPDX-License-Identifier: Apache-2.0
#include "sim/network/owned_heap.hpp"

#include <algorithm>

namespace moesim {
namespace {

/// Larger arrays shrink when half empty: classes move from heap to heap all through a run.
constexpr std::size_t kMayStay = 64;

bool before(const OwnedClass& a, const OwnedClass& b) {
  return a.target != b.target ? a.target < b.target : a.flow_class < b.flow_class;
}

}  // namespace

void OwnedHeap::put(std::size_t i, const OwnedClass& entry, Places& place) {
  entries_[i] = entry;
  place[static_cast<std::size_t>(entry.flow_class)] = static_cast<std::int32_t>(i);
}

void OwnedHeap::push(const OwnedClass& entry, Places& place) {
  if (entries_.size() == entries_.capacity()) {
    entries_.reserve(entries_.size() + entries_.size() / 2 + kArity);
  }
  entries_.push_back(entry);
  sift(entries_.size() - 1, entry, place);
}

void OwnedHeap::erase(std::int32_t flow_class, Places& place) {
  const auto i = static_cast<std::size_t>(place[static_cast<std::size_t>(flow_class)]);
  const OwnedClass last = entries_.back();
  entries_.pop_back();
  if (i < entries_.size()) {
    sift(i, last, place);
  }
  if (entries_.capacity() > kMayStay && 2 * entries_.size() < entries_.capacity()) {
    std::vector<OwnedClass> fewer;
    fewer.reserve(entries_.size() + entries_.size() / 2);
    fewer.assign(entries_.begin(), entries_.end());
    entries_.swap(fewer);
  }
}

void OwnedHeap::set_target(std::int32_t flow_class, double target, Places& place) {
  const auto i = static_cast<std::size_t>(place[static_cast<std::size_t>(flow_class)]);
  OwnedClass entry = entries_[i];
  entry.target = target;
  sift(i, entry, place);
}

void OwnedHeap::make(Places& place) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    put(i, entries_[i], place);
  }
  for (std::size_t i = entries_.size() / kArity + 1; i > 0; --i) {
    if (i - 1 < entries_.size()) {
      sift_down(i - 1, OwnedClass(entries_[i - 1]), place);
    }
  }
}

/// Puts the entry where it belongs on the way up from i, or else on the way down.
void OwnedHeap::sift(std::size_t i, const OwnedClass& entry, Places& place) {
  if (i == 0 || !before(entry, entries_[(i - 1) / kArity])) {
    sift_down(i, entry, place);
    return;
  }
  while (i > 0 && before(entry, entries_[(i - 1) / kArity])) {
    put(i, entries_[(i - 1) / kArity], place);
    i = (i - 1) / kArity;
  }
  put(i, entry, place);
}

void OwnedHeap::sift_down(std::size_t i, const OwnedClass& entry, Places& place) {
  const std::size_t size = entries_.size();
  while (kArity * i + 1 < size) {
    const std::size_t first = kArity * i + 1;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < std::min(first + kArity, size); ++child) {
      least = before(entries_[child], entries_[least]) ? child : least;
    }
    if (!before(entries_[least], entry)) {
      break;
    }
    put(i, entries_[least], place);
    i = least;
  }
  put(i, entry, place);
}

}  // namespace moesim
