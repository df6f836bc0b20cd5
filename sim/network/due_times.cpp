// SPDX-License-Identifier: Apache-2.0
#include "sim/network/due_times.hpp"

namespace moesim {
void DueTimes::add() {
  if (ticks_.size() % kBlock == 0) {
    if (blocks_.size() % kBlock == 0) {
      groups_.push_back(kNever);
    }
    blocks_.push_back(kNever);
  }
  ticks_.push_back(kNever);
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

double DueTimes::least_in_block(const std::vector<double>& values, std::size_t block) {
  const std::size_t first = block * kBlock;
  const std::size_t end = std::min(first + kBlock, values.size());
  double least = kNever;
  for (std::size_t k = first; k < end; ++k) {
    least = std::min(least, values[k]);
  }
  return least;
}

}  // namespace moesim
