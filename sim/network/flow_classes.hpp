// SPDX-License-Identifier: Apache-2.0
// The live flows of the fluid engine, by class: which flows are alike, what each class has served,
// and which classes cross a link. It knows no solver and moves no clock.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sim/network/network.hpp"

namespace moesim {

/// A live flow: it drains when its class has served `finish` bytes to each member.
struct Member {
  double finish = 0.0;
  FlowId flow;
  auto operator<=>(const Member&) const = default;
};

/// Flows with the same links and the same cap have the same rate, so one service clock tells what
/// each of them has got: a change of rate costs O(1) however many they are.
///
///   served(t) = served + rate * (t - since)        bytes per member
///   a member that starts at t drains when served reaches served(t) + its bytes
struct ClassState {
  double rate = 0.0;    ///< of each member, bytes/s; 0 until the first solve
  double served = 0.0;  ///< at `since`
  SimTime since;        ///< last change of rate
  double rate_cap = 0.0;
  std::int32_t first_link = 0;  ///< in the pool of links
  std::int32_t num_links = 0;
  std::vector<Member> members;  ///< min-heap

  [[nodiscard]] bool alive() const { return !members.empty(); }
  [[nodiscard]] double served_at(SimTime now) const {
    return served + rate * (now - since).to_seconds().value;
  }
  /// When a member drains if the rate stays; the rate must be > 0.
  [[nodiscard]] SimTime drain_tick(const Member& member) const;
};

class FlowClasses {
 public:
  explicit FlowClasses(std::size_t num_links)
      : classes_on_link_(num_links), flows_on_link_(num_links) {}

  /// Adds a live flow and returns its class. A class keeps its index for ever.
  std::int32_t add(FlowId id, const Flow& flow, SimTime now);
  /// Removes the members due at `tick` and appends their flows to `drained`.
  void drain(std::int32_t flow_class, SimTime tick, std::vector<FlowId>& drained);

  [[nodiscard]] std::size_t size() const { return classes_.size(); }
  [[nodiscard]] ClassState& operator[](std::int32_t c) {
    return classes_[static_cast<std::size_t>(c)];
  }
  [[nodiscard]] std::span<const LinkId> links(std::int32_t c) const;
  [[nodiscard]] std::int64_t num_flows(LinkId link) const { return flows_on_link_[link.index()]; }
  /// The live classes that cross a link, in an order that depends only on the calls made so far.
  struct Crossing {
    std::int32_t flow_class = 0;
    std::int32_t slot = 0;  ///< of the link in the pool of links
  };
  [[nodiscard]] const std::vector<Crossing>& crossing(LinkId link) const {
    return classes_on_link_[link.index()];
  }

 private:
  std::int32_t find_or_make(const Flow& flow);
  [[nodiscard]] bool same(std::int32_t c, const Flow& flow) const;
  void join_links(std::int32_t c);
  void leave_links(std::int32_t c);

  std::vector<ClassState> classes_;
  std::vector<LinkId> link_pool_;
  std::vector<std::int32_t> position_;  ///< by slot: where it is in its link's list
  std::vector<std::vector<Crossing>> classes_on_link_;
  std::vector<std::int64_t> flows_on_link_;                       ///< live
  std::unordered_multimap<std::uint64_t, std::int32_t> by_hash_;  ///< looked up, never walked
};

}  // namespace moesim
