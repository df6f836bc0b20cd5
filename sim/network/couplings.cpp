// SPDX-License-Identifier: Apache-2.0
#include "sim/network/couplings.hpp"

#include <bit>
#include <limits>

namespace moesim {
namespace {

/// Up to here a scan is as fast as the index.
constexpr std::size_t kScanned = 12;
/// Positions beyond this do not fit the index, so that a longer map is scanned.
constexpr std::size_t kIndexed = std::numeric_limits<std::uint16_t>::max() - 1;

}  // namespace

std::size_t Couplings::home(std::int32_t link) const {
  return (static_cast<std::uint32_t>(link) * 0x9E3779B1U >> 15U) & (index_.size() - 1);
}

std::size_t Couplings::find_indexed(std::int32_t link) const {
  const std::size_t mask = index_.size() - 1;
  for (std::size_t slot = home(link); index_[slot] != 0; slot = (slot + 1) & mask) {
    if (entries_[index_[slot] - 1U].link == link) {
      return index_[slot] - 1U;
    }
  }
  return entries_.size();
}

/// Where the index has an entry that is there.
std::size_t Couplings::slot_of(std::size_t position) const {
  std::size_t slot = home(entries_[position].link);
  while (index_[slot] != position + 1) {
    slot = (slot + 1) & (index_.size() - 1);
  }
  return slot;
}

void Couplings::add(std::int32_t link, std::int32_t flows) {
  const std::size_t i = find(link);
  if (i == entries_.size()) {
    append(link, flows);
    return;
  }
  entries_[i].flows += flows;
  if (entries_[i].flows == 0) {
    erase_at(i);
  }
}

void Couplings::append(std::int32_t link, std::int32_t flows) {
  seen_ |= bit(link);
  entries_.push_back({.link = link, .flows = flows});
  const std::size_t size = entries_.size();
  if (size <= kScanned && !is_indexed()) {
    return;
  }
  if (2 * size > index_.size() || size > kIndexed) {
    make_index();
    return;
  }
  std::size_t slot = home(link);
  while (index_[slot] != 0) {
    slot = (slot + 1) & (index_.size() - 1);
  }
  index_[slot] = static_cast<std::uint16_t>(size);
}

void Couplings::make_index() {
  if (entries_.size() > kIndexed) {
    index_.clear();
    return;
  }
  index_.assign(std::bit_ceil(4 * entries_.size() - 1), 0);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::size_t slot = home(entries_[i].link);
    while (index_[slot] != 0) {
      slot = (slot + 1) & (index_.size() - 1);
    }
    index_[slot] = static_cast<std::uint16_t>(i + 1);
  }
}

/// The last entry takes the place of the one that goes.
void Couplings::erase_at(std::size_t position) {
  const std::size_t last = entries_.size() - 1;
  if (is_indexed()) {
    vacate(slot_of(position));
    if (position != last) {
      index_[slot_of(last)] = static_cast<std::uint16_t>(position + 1);
    }
  }
  entries_[position] = entries_[last];
  entries_.pop_back();
}

/// Frees a slot and moves up what was put behind it for want of it.
void Couplings::vacate(std::size_t slot) {
  const std::size_t mask = index_.size() - 1;
  std::size_t hole = slot;
  for (std::size_t i = (hole + 1) & mask; index_[i] != 0; i = (i + 1) & mask) {
    const std::size_t from_home = (i - home(entries_[index_[i] - 1U].link)) & mask;
    if (from_home >= ((i - hole) & mask)) {
      index_[hole] = index_[i];
      hole = i;
    }
  }
  index_[hole] = 0;
}

void Couplings::reserve(std::size_t links) {
  entries_.reserve(links);
  if (links > kScanned && links < kIndexed) {
    index_.assign(std::bit_ceil(2 * links + links / 2), 0);
  }
}

void Couplings::clear() {
  seen_ = 0;
  entries_.clear();
  index_.clear();
}

}  // namespace moesim
