// SPDX-License-Identifier: Apache-2.0
// Which flows are alike, and which classes cross a link. It knows no rates and moves no clock.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "sim/network/member_pool.hpp"
#include "sim/network/network.hpp"

namespace moesim {

/// Flows with the same links and the same cap are one class: they have the same rate, so one
/// service clock tells what each of them has got, and they drain in order of size.
///
/// Links are renumbered from 0 in order of first use, so that a network with many idle links costs
/// no more than its busy ones. A rate cap is a link of the class's own, its last one.
/// Valid for: paths without a repeated link. Classes live on when their last flow has drained; the
/// number of different paths is what a cluster has, not what a run sends.
/// Checked by: class_table_test.
class ClassTable {
 public:
  explicit ClassTable(std::size_t num_outer_links) : inner_of_outer_(num_outer_links, -1) {}

  /// The class of such a flow, made at first use.
  std::int32_t find_or_make(const Flow& flow, std::span<const double> outer_capacity);

  /// What the solver reads and writes of a class, and where its path is.
  struct State {
    std::int32_t owner = -1;  ///< link whose level is the rate, -1: none
    std::int32_t members =
        -1;                   ///< heap of members; -1: none; below: alone(), one that needs no heap
    std::int32_t weight = 0;  ///< flows that hold a share
    std::uint32_t first_hop = 0;  ///< the path ends where that of the next class begins
  };
  /// A flow that is the only member of its class, in place of a heap. And back again.
  static constexpr std::int32_t alone(FlowId flow) { return -2 - flow.value; }
  static constexpr FlowId flow_alone(std::int32_t members) { return {-2 - members}; }
  static constexpr bool is_alone(std::int32_t members) { return members < -1; }
  [[nodiscard]] std::size_t size() const { return states_.size() - 1; }
  [[nodiscard]] State& operator[](std::int32_t c) { return states_[static_cast<std::size_t>(c)]; }
  [[nodiscard]] const State& operator[](std::int32_t c) const {
    return states_[static_cast<std::size_t>(c)];
  }
  [[nodiscard]] std::size_t num_links() const { return capacity_.size(); }
  /// The narrowest first; a cap last.
  [[nodiscard]] std::span<const std::int32_t> links(std::int32_t c) const {
    const State* const state = &(*this)[c];
    return {&hops_[state[0].first_hop], state[1].first_hop - state[0].first_hop};
  }
  /// Ahead of operator[], and ahead of links() once that is near: large tables do not fit any
  /// cache.
  void prefetch(std::int32_t c) const { __builtin_prefetch(&(*this)[c]); }
  void prefetch_links(std::int32_t c) const { __builtin_prefetch(&hops_[(*this)[c].first_hop]); }
  /// The link of least capacity that the class shares with others.
  [[nodiscard]] std::int32_t narrowest(std::int32_t c) const { return hops_[(*this)[c].first_hop]; }
  /// A byte for each of the first four links that are as narrow as the narrowest: tells most
  /// classes that do not cross a link without a look at their paths.
  [[nodiscard]] std::uint32_t signature(std::int32_t c) const;
  /// What to look for in signatures; nothing if a class crosses the link without having it there.
  [[nodiscard]] std::optional<std::uint32_t> mark_in_signatures(std::int32_t link) const {
    return is_unsigned_[static_cast<std::size_t>(link)] ? std::nullopt
                                                        : std::optional(signature_byte(link));
  }
  /// False: the class does not cross the link with that mark.
  [[nodiscard]] static constexpr bool may_have(std::uint32_t signature, std::uint32_t mark) {
    const std::uint32_t other = signature ^ (mark * 0x01010101U);  // a byte of zeros: found
    return ((other - 0x01010101U) & ~other & 0x80808080U) != 0;
  }
  /// Of a link that is no cap.
  [[nodiscard]] double capacity(std::size_t link) const { return capacity_[link]; }
  /// Rate cap of each flow of a class's own link, infinite for other links.
  [[nodiscard]] double cap(std::size_t link) const { return cap_[link]; }

  /// Puts a class that has flows again into the lists of its links.
  void list(std::int32_t c);
  /// Room for exactly so many more in the lists of their links.
  void reserve_lists(std::span<const std::int32_t> classes);
  /// The classes with flows that cross a link, and some without.
  [[nodiscard]] std::span<const std::int32_t> listed(std::size_t link) const {
    return crossing_[link];
  }
  /// The classes with flows that cross a link, in an order that depends only on the calls so far.
  [[nodiscard]] std::span<const std::int32_t> crossing(std::size_t link);

  std::vector<std::int32_t> place;  ///< by class: in the owner's heap
  MemberPool pool;

 private:
  void take_path(const Flow& flow, std::span<const double> outer_capacity);
  [[nodiscard]] static std::uint32_t signature_byte(std::int32_t link) {
    return (static_cast<std::uint32_t>(link) * 0x9E3779B1U >> 24U) | 1U;
  }
  void note_unsigned(std::int32_t c);
  [[nodiscard]] bool same(std::int32_t c, double rate_cap) const;
  [[nodiscard]] std::size_t hash_of_path(std::span<const std::int32_t> path, double rate_cap) const;
  [[nodiscard]] double cap_of(std::int32_t c) const;
  std::int32_t make(double rate_cap);
  std::int32_t add_link(double capacity, double rate_cap);
  void grow_slots();

  std::vector<std::int32_t> inner_of_outer_;
  std::vector<double> capacity_;
  std::vector<double> cap_;
  std::vector<State> states_ = {{}};  ///< and one behind the last class
  std::vector<std::int32_t> hops_;
  std::vector<bool> is_unsigned_;  ///< by link: some class crosses it and does not have it signed
  std::vector<bool> is_listed_;    ///< by hop
  std::vector<std::vector<std::int32_t>> crossing_;
  std::vector<std::int32_t> slots_;  ///< open-addressed hash table of classes
  std::vector<std::int32_t> path_;   ///< scratch
};

}  // namespace moesim
