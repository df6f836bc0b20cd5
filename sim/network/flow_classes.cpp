// SPDX-License-Identifier: Apache-2.0
#include "sim/network/flow_classes.hpp"

#include <algorithm>
#include <bit>

#include "sim/core/rng.hpp"

namespace moesim {
namespace {

std::uint64_t hash_of(const Flow& flow) {
  std::uint64_t hash = std::bit_cast<std::uint64_t>(flow.rate_cap.value);
  for (const LinkId link : flow.links) {
    hash = mix_hash(hash, static_cast<std::uint64_t>(link.value));
  }
  return hash;
}

}  // namespace

SimTime ClassState::drain_tick(const Member& member) const {
  return after(since, {std::max(0.0, (member.finish - served) / rate)});
}

std::span<const LinkId> FlowClasses::links(std::int32_t c) const {
  const ClassState& state = classes_[static_cast<std::size_t>(c)];
  return std::span(link_pool_)
      .subspan(static_cast<std::size_t>(state.first_link),
               static_cast<std::size_t>(state.num_links));
}

bool FlowClasses::same(std::int32_t c, const Flow& flow) const {
  return classes_[static_cast<std::size_t>(c)].rate_cap == flow.rate_cap.value &&
         std::ranges::equal(links(c), flow.links);
}

std::int32_t FlowClasses::find_or_make(const Flow& flow) {
  const std::uint64_t hash = hash_of(flow);
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (same(it->second, flow)) {
      return it->second;
    }
  }
  const auto c = static_cast<std::int32_t>(classes_.size());
  by_hash_.emplace(hash, c);
  ClassState state;
  state.rate_cap = flow.rate_cap.value;
  state.first_link = static_cast<std::int32_t>(link_pool_.size());
  state.num_links = static_cast<std::int32_t>(flow.links.size());
  classes_.push_back(std::move(state));
  link_pool_.insert(link_pool_.end(), flow.links.begin(), flow.links.end());
  position_.resize(link_pool_.size());
  return c;
}

std::int32_t FlowClasses::add(FlowId id, const Flow& flow, SimTime now) {
  const std::int32_t c = find_or_make(flow);
  ClassState& state = (*this)[c];
  if (!state.alive()) {
    state.rate = 0.0;
    state.served = 0.0;
    state.since = now;
    join_links(c);
  }
  state.members.push_back({.finish = state.served_at(now) + flow.bytes.value, .flow = id});
  std::push_heap(state.members.begin(), state.members.end(), std::greater<>());
  for (const LinkId link : links(c)) {
    ++flows_on_link_[link.index()];
  }
  return c;
}

void FlowClasses::drain(std::int32_t flow_class, SimTime tick, std::vector<FlowId>& drained) {
  ClassState& state = (*this)[flow_class];
  while (state.alive() && state.drain_tick(state.members.front()) <= tick) {
    drained.push_back(state.members.front().flow);
    std::pop_heap(state.members.begin(), state.members.end(), std::greater<>());
    state.members.pop_back();
    for (const LinkId link : links(flow_class)) {
      --flows_on_link_[link.index()];
    }
  }
  if (!state.alive()) {
    leave_links(flow_class);
  }
}

void FlowClasses::join_links(std::int32_t c) {
  const ClassState& state = (*this)[c];
  for (std::int32_t slot = state.first_link; slot < state.first_link + state.num_links; ++slot) {
    const auto s = static_cast<std::size_t>(slot);
    auto& list = classes_on_link_[link_pool_[s].index()];
    position_[s] = static_cast<std::int32_t>(list.size());
    list.push_back({.flow_class = c, .slot = slot});
  }
}

/// Takes the class out of its links' lists; the last of a list moves into the gap.
void FlowClasses::leave_links(std::int32_t c) {
  const ClassState& state = (*this)[c];
  for (std::int32_t slot = state.first_link; slot < state.first_link + state.num_links; ++slot) {
    const auto s = static_cast<std::size_t>(slot);
    auto& list = classes_on_link_[link_pool_[s].index()];
    const auto gap = static_cast<std::size_t>(position_[s]);
    list[gap] = list.back();
    position_[static_cast<std::size_t>(list[gap].slot)] = static_cast<std::int32_t>(gap);
    list.pop_back();
  }
}

}  // namespace moesim
