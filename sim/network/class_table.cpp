// SPDX-License-Identifier: Apache-2.0
#include "sim/network/class_table.hpp"

#include <algorithm>
#include <bit>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr double kNoCap = std::numeric_limits<double>::infinity();
constexpr std::size_t kFirstSlots = 64;

}  // namespace

std::int32_t ClassTable::find_or_make(const Flow& flow, std::span<const double> outer_capacity) {
  if (2 * (size() + 1) > slots_.size()) {
    grow_slots();
  }
  take_path(flow, outer_capacity);
  const double rate_cap = flow.rate_cap.value;
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash_of_path(path_, rate_cap) & mask;
  while (slots_[slot] >= 0) {
    if (same(slots_[slot], rate_cap)) {
      return slots_[slot];
    }
    slot = (slot + 1) & mask;
  }
  slots_[slot] = make(rate_cap);
  return slots_[slot];
}

void ClassTable::take_path(const Flow& flow, std::span<const double> outer_capacity) {
  path_.clear();
  for (const LinkId link : flow.links) {
    std::int32_t& inner = inner_of_outer_[link.index()];
    if (inner < 0) {
      inner = add_link(outer_capacity[link.index()], kNoCap);
    }
    path_.push_back(inner);
  }
  const auto narrowest = std::min_element(path_.begin(), path_.end(), [&](auto a, auto b) {
    return capacity_[static_cast<std::size_t>(a)] < capacity_[static_cast<std::size_t>(b)];
  });
  std::rotate(path_.begin(), narrowest, narrowest + 1);
}

std::size_t ClassTable::hash_of_path(std::span<const std::int32_t> path, double rate_cap) const {
  std::uint64_t hash = std::bit_cast<std::uint64_t>(rate_cap);
  for (const std::int32_t link : path) {
    hash = (hash ^ static_cast<std::uint64_t>(link)) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29U;
  }
  return static_cast<std::size_t>(hash ^ (hash >> 32U));
}

std::uint32_t ClassTable::signature(std::int32_t c) const {
  const double least = capacity_[static_cast<std::size_t>(narrowest(c))];
  std::uint32_t signature = 0;
  for (const std::int32_t link : links(c)) {
    if (capacity_[static_cast<std::size_t>(link)] == least && signature >> 24U == 0) {
      signature = signature << 8U | signature_byte(link);
    }
  }
  return signature;
}

void ClassTable::note_unsigned(std::int32_t c) {
  const double least = capacity_[static_cast<std::size_t>(narrowest(c))];
  int left = 4;
  for (const std::int32_t link : links(c)) {
    const auto l = static_cast<std::size_t>(link);
    left -= capacity_[l] == least ? 1 : 0;
    if (capacity_[l] != least || left < 0) {
      is_unsigned_[l] = true;
    }
  }
}

double ClassTable::cap_of(std::int32_t c) const {
  return cap_[static_cast<std::size_t>(links(c).back())];
}

bool ClassTable::same(std::int32_t c, double rate_cap) const {
  const auto own = links(c);
  const std::size_t size = path_.size() + (rate_cap == kNoCap ? 0 : 1);
  return own.size() == size && cap_of(c) == rate_cap &&
         std::ranges::equal(own.first(path_.size()), path_);
}

std::int32_t ClassTable::make(double rate_cap) {
  const auto c = static_cast<std::int32_t>(size());
  hops_.insert(hops_.end(), path_.begin(), path_.end());
  if (rate_cap != kNoCap) {
    hops_.push_back(add_link(0.0, rate_cap));
  }
  is_listed_.resize(hops_.size(), false);
  MOESIM_CHECK(hops_.size() < std::numeric_limits<std::uint32_t>::max(), "too many paths");
  states_.push_back({.first_hop = static_cast<std::uint32_t>(hops_.size())});
  place.push_back(0);
  note_unsigned(c);
  return c;
}

std::int32_t ClassTable::add_link(double capacity, double rate_cap) {
  capacity_.push_back(capacity);
  cap_.push_back(rate_cap);
  crossing_.emplace_back();
  is_unsigned_.push_back(false);
  return static_cast<std::int32_t>(capacity_.size() - 1);
}

void ClassTable::grow_slots() {
  slots_.assign(std::max(kFirstSlots, 2 * slots_.size()), -1);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t c = 0; c < size(); ++c) {
    const auto id = static_cast<std::int32_t>(c);
    const double rate_cap = cap_of(id);
    const auto path = rate_cap == kNoCap ? links(id) : links(id).first(links(id).size() - 1);
    std::size_t slot = hash_of_path(path, rate_cap) & mask;
    while (slots_[slot] >= 0) {
      slot = (slot + 1) & mask;
    }
    slots_[slot] = id;
  }
}

void ClassTable::reserve_lists(std::span<const std::int32_t> classes) {
  std::vector<std::size_t> size(num_links(), 0);
  for (const std::int32_t c : classes) {
    for (const std::int32_t link : links(c)) {
      ++size[static_cast<std::size_t>(link)];
    }
  }
  for (std::size_t l = 0; l < size.size(); ++l) {
    crossing_[l].reserve(crossing_[l].size() + size[l]);
  }
}

void ClassTable::list(std::int32_t c) {
  const State* const state = &(*this)[c];
  for (std::uint32_t h = state[0].first_hop; h < state[1].first_hop; ++h) {
    if (!is_listed_[h]) {
      is_listed_[h] = true;
      crossing_[static_cast<std::size_t>(hops_[h])].push_back(c);
    }
  }
}

std::span<const std::int32_t> ClassTable::crossing(std::size_t link) {
  auto& list = crossing_[link];
  std::size_t kept = 0;
  for (const std::int32_t c : list) {
    const State& state = (*this)[c];
    if (state.weight > 0) {
      list[kept++] = c;
      continue;
    }
    std::uint32_t h = state.first_hop;
    while (hops_[h] != static_cast<std::int32_t>(link)) {
      ++h;
    }
    is_listed_[h] = false;
  }
  list.resize(kept);
  return list;
}

}  // namespace moesim
