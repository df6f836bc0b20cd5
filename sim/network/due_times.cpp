// SPDX-License-Identifier: Apache-2.0
#include "sim/network/due_times.hpp"

#include <algorithm>

namespace moesim {
namespace {

/// Sets values[i]; true if that changes the least of its block, which is then in `tick`.
bool set_in_block(std::vector<double>& values,
                  const std::vector<double>& least_of_blocks,
                  std::size_t i,
                  std::size_t block_size,
                  double& tick) {
  const double before = values[i];
  const double least = least_of_blocks[i / block_size];
  values[i] = tick;
  if (tick > least) {
    if (before > least) {
      return false;
    }
    const std::size_t first = i / block_size * block_size;
    const std::size_t end = std::min(first + block_size, values.size());
    for (std::size_t k = first; k < end; ++k) {
      tick = std::min(tick, values[k]);
    }
  }
  return tick != least;
}

}  // namespace

void DueTimes::add() {
  if (ticks_.size() % kBlock == 0) {
    if (blocks_.size() % kBlock == 0) {
      groups_.push_back(kNever);
    }
    blocks_.push_back(kNever);
  }
  ticks_.push_back(kNever);
}

void DueTimes::set(std::size_t key, double tick) {
  const std::size_t block = key / kBlock;
  if (set_in_block(ticks_, blocks_, key, kBlock, tick) &&
      set_in_block(blocks_, groups_, block, kBlock, tick)) {
    groups_[block / kBlock] = tick;
  }
}

double DueTimes::first() const {
  double first = kNever;
  for (const double tick : groups_) {
    first = std::min(first, tick);
  }
  return first;
}

std::size_t DueTimes::find(double now, std::size_t from) const {
  constexpr std::size_t kGroup = kBlock * kBlock;
  std::size_t key = from;
  while (key < ticks_.size()) {
    if (key % kGroup == 0 && groups_[key / kGroup] > now) {
      key += kGroup;
    } else if (key % kBlock == 0 && blocks_[key / kBlock] > now) {
      key += kBlock;
    } else if (ticks_[key] > now) {
      ++key;
    } else {
      return key;
    }
  }
  return ticks_.size();
}

}  // namespace moesim
