// SPDX-License-Identifier: Apache-2.0
#include "sim/network/tick_heap.hpp"

#include <algorithm>

namespace moesim {
namespace {

constexpr std::int32_t kAbsent = -1;

}  // namespace

SimTime TickHeap::next_tick() const {
  return entries_.empty() ? SimTime::never() : entries_.front().tick;
}

void TickHeap::set(std::int32_t key, SimTime tick) {
  const auto k = static_cast<std::size_t>(key);
  if (k >= position_.size()) {
    position_.resize(k + 1, kAbsent);
  }
  if (tick == SimTime::never()) {
    remove(key);
    return;
  }
  const Entry entry{.tick = tick, .key = key};
  if (position_[k] == kAbsent) {
    entries_.push_back(entry);
    sift_up(entries_.size() - 1, entry);
    return;
  }
  const auto i = static_cast<std::size_t>(position_[k]);
  if (entry < entries_[i]) {
    sift_up(i, entry);
  } else {
    sift_down(i, entry);
  }
}

void TickHeap::remove(std::int32_t key) {
  const auto k = static_cast<std::size_t>(key);
  if (position_[k] == kAbsent) {
    return;
  }
  const auto i = static_cast<std::size_t>(position_[k]);
  position_[k] = kAbsent;
  const Entry last = entries_.back();
  entries_.pop_back();
  if (i == entries_.size()) {
    return;
  }
  if (i > 0 && last < entries_[(i - 1) / kArity]) {
    sift_up(i, last);
  } else {
    sift_down(i, last);
  }
}

void TickHeap::place(std::size_t i, Entry entry) {
  entries_[i] = entry;
  position_[static_cast<std::size_t>(entry.key)] = static_cast<std::int32_t>(i);
}

void TickHeap::sift_up(std::size_t i, Entry entry) {
  while (i > 0 && entry < entries_[(i - 1) / kArity]) {
    place(i, entries_[(i - 1) / kArity]);
    i = (i - 1) / kArity;
  }
  place(i, entry);
}

void TickHeap::sift_down(std::size_t i, Entry entry) {
  const std::size_t size = entries_.size();
  while (kArity * i + 1 < size) {
    const std::size_t first = kArity * i + 1;
    std::size_t least = first;
    for (std::size_t child = first + 1; child < std::min(first + kArity, size); ++child) {
      least = entries_[child] < entries_[least] ? child : least;
    }
    if (!(entries_[least] < entry)) {
      break;
    }
    place(i, entries_[least]);
    i = least;
  }
  place(i, entry);
}

}  // namespace moesim
