// SPDX-License-Identifier: Apache-2.0
#include "sim/network/couplings.hpp"

namespace moesim {

/// Blocks without an early exit, so that the compiler compares several links at once.
std::size_t Couplings::find(std::int32_t link) const {
  constexpr std::size_t kBlock = 16;
  const std::size_t size = links_.size();
  const std::int32_t* const links = links_.data();
  std::size_t i = 0;
  for (; i + kBlock <= size; i += kBlock) {
    std::int32_t hits = 0;
    for (std::size_t j = 0; j < kBlock; ++j) {
      hits |= links[i + j] == link ? 1 : 0;
    }
    if (hits != 0) {
      break;
    }
  }
  while (i < size && links[i] != link) {
    ++i;
  }
  return i;
}

void Couplings::add(std::int32_t link, double flows) {
  const std::size_t i = find(link);
  if (i == links_.size()) {
    append(link, flows);
    return;
  }
  flows_[i] += flows;
  if (flows_[i] == 0.0) {
    erase_at(i);
  }
}

void Couplings::erase(std::int32_t link) {
  const std::size_t i = find(link);
  if (i < links_.size()) {
    erase_at(i);
  }
}

void Couplings::erase_at(std::size_t i) {
  links_[i] = links_.back();
  flows_[i] = flows_.back();
  links_.pop_back();
  flows_.pop_back();
}

void Couplings::append(std::int32_t link, double flows) {
  links_.push_back(link);
  flows_.push_back(flows);
}

void Couplings::clear() {
  links_.clear();
  flows_.clear();
}

}  // namespace moesim
