// SPDX-License-Identifier: Apache-2.0
// The max-min fair rates of live flows, kept up to date as flows start and end. It has the clocks
// that say how much each class has got, but decides no event: fluid.hpp does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "sim/network/class_table.hpp"
#include "sim/network/couplings.hpp"
#include "sim/network/due_times.hpp"
#include "sim/network/owned_heap.hpp"

namespace moesim {

/// Max-min fair rates as levels of links.
///
///   rate of a class = least level of the full links it crosses; that link owns the class
///   level of l      = (capacity of l - what classes owned by others take of it) / flows l owns
///
/// Full links stand in ascending order of level. A link's level depends on lower ones only, so the
/// equations are triangular, and one walk upwards from the first link that changed restores them:
///   - a link that ends up below its predecessor, or above its successor, changes places with it,
///     and the lower one takes over the classes that cross both (levels equal to 1e-12 are equal);
///   - a new level is passed on to the links that the owned classes cross, summed by link;
///   - a link that owns nothing any more is slack and leaves the order.
/// Of a slack link only the free capacity is kept; with none left it joins the order. A slack link
/// whose flows all come through narrower links, and together fit, is not even watched.
/// When many classes start or end at once all levels are built anew by progressive filling.
///
/// Source: max-min fairness as in max_min.hpp; derivation in docs/network.md, "Levels".
/// Valid for: any paths and caps.
/// Cost: a change costs O(full links above it * links they are coupled to). Arrays grow and shrink
/// with what moves from link to link, nothing else is allocated.
/// Checked by: fair_share_test and network_property_test (INV-2), simgrid_oracle_test.
class FairShare {
 public:
  explicit FairShare(std::span<const BytesPerSecond> capacity);

  /// Moves the clock; no class may be due before `now`.
  void move_to(std::int64_t now) { now_ = now; }
  void start(FlowId id, const Flow& flow);
  /// Tick at which the next members drain, infinite without any.
  [[nodiscard]] double next_due() const { return due_.first(); }
  /// Takes the members that are due by now. They keep their shares until solve().
  void drain(std::vector<FlowId>& drained);
  [[nodiscard]] bool has_starts() const { return has_starts_; }
  /// Frees the shares of drained members, gives shares to started ones and restores all levels.
  void solve();

  /// Bytes that each live flow has left now, by FlowId; drained ones are not written.
  void remaining(std::span<double> left) const;

  // What tests look at.
  [[nodiscard]] const ClassTable& classes() const { return classes_; }
  [[nodiscard]] double rate(std::int32_t c) const {
    return links_[static_cast<std::size_t>(classes_[c].owner)].level;
  }
  struct Work {
    std::int64_t solves = 0;
    std::int64_t rebuilds = 0;
    std::int64_t links_settled = 0;
    std::int64_t updates = 0;  ///< new levels passed on to a link
    std::int64_t takeovers = 0;
    std::int64_t checks = 0;  ///< surveys of slack links
    std::int64_t entered = 0;
    std::int64_t reviews = 0;  ///< of watched links
  };
  [[nodiscard]] const Work& work() const { return work_; }

 private:
  enum Mark : std::uint8_t {
    kClean,
    kPassed,   ///< the highest of the links that another one has passed in this walk
    kChanged,  ///< its level may have changed
  };
  struct LinkState {
    double capacity = 0.0;
    double own = 0.0;            ///< flows owned
    double level = 0.0;          ///< rate of each of them
    double served = 0.0;         ///< integral of the level, at `since`
    std::int64_t since = 0;      ///< tick
    std::int32_t narrowed = 0;   ///< flows that cross it and no narrower link
    std::uint32_t surveyed = 0;  ///< last survey that counted it
    bool is_watched = false;     ///< slack, and owners tell it of their changes
    bool is_asked = false;       ///< in to_check_
    bool may_widen = false;      ///< look again when the last of `narrowed` has gone
  };
  static constexpr double kNever = DueTimes::kNever;
  static constexpr double kTicksPerSecond = 1e12;
  static constexpr double kSecondsPerTick = 1e-12;
  /// A link is overloaded beyond this share of its capacity.
  static constexpr double kOverload = 1e-11;

  [[nodiscard]] LinkState& at(std::int32_t link) { return links_[static_cast<std::size_t>(link)]; }
  [[nodiscard]] bool is_full(std::int32_t link) const {
    return place_[static_cast<std::size_t>(link)] > 0;
  }
  [[nodiscard]] double& free_of(std::int32_t link) { return free_[static_cast<std::size_t>(link)]; }
  [[nodiscard]] std::int32_t& place_of(std::int32_t link) {
    return place_[static_cast<std::size_t>(link)];
  }
  [[nodiscard]] Couplings& couplings(std::int32_t owner) {
    return couplings_[static_cast<std::size_t>(owner)];
  }
  void make_room_for_links();
  void settle_clock(LinkState& link) const {
    if (link.since != now_) {
      link.served += link.level * (static_cast<double>(now_ - link.since) * kSecondsPerTick);
      link.since = now_;
    }
  }
  void drain(std::size_t link, std::vector<FlowId>& drained);
  void update_due(std::int32_t link) {
    const OwnedHeap& heap = owned_[static_cast<std::size_t>(link)];
    due_.set(static_cast<std::size_t>(link),
             heap.empty() ? kNever : due_tick(at(link), heap.front().target));
  }
  [[nodiscard]] static double due_tick(const LinkState& link, double target) {
    const double ticks = (target - link.served) / link.level * kTicksPerSecond;
    constexpr double kHalf = 0.5;  // whole ticks, rounded without a call
    return static_cast<double>(link.since) +
           (ticks < 9e15
                ? static_cast<double>(static_cast<std::int64_t>(std::max(0.0, ticks) + kHalf))
                : ticks);
  }

  // Changes of weight.
  void reweigh(std::int32_t c, std::int32_t change);
  void forget_released();
  void join(std::int32_t c, double left, double size, FlowId id);
  void pend(std::int32_t c, double left);
  void begin(std::int32_t c);
  [[nodiscard]] std::int32_t lowest_full_link(std::int32_t c);
  std::int32_t fill_one_link_of(std::int32_t c);

  // The walk (fair_share_walk.cpp).
  void mark(std::int32_t link);
  void walk();
  [[nodiscard]] std::size_t next_marked(std::size_t place) const;
  std::size_t settle(std::size_t place);
  [[nodiscard]] double level_at(std::size_t place) const {
    return links_[static_cast<std::size_t>(order_[place])].level;
  }
  [[nodiscard]] bool falls(std::size_t place, double level) const;
  [[nodiscard]] bool rises(std::size_t place, double level) const;
  void sink(std::int32_t link, std::size_t& place, double& level);
  [[nodiscard]] bool rise(std::int32_t link, std::size_t& place, double& level);
  [[nodiscard]] double level_of(std::int32_t link) const;
  bool take_over(std::int32_t taker, std::int32_t from);
  void move_class(std::int32_t c, std::int32_t taker, std::int32_t from);
  void pass_on(std::int32_t link, double level);
  void leave(std::int32_t link);
  void enter(std::int32_t link);

  // Slack links (fair_share_slack.cpp).
  void check_slack();
  void ask_check(std::int32_t link);
  void take(std::int32_t link, double rate);
  void survey(std::int32_t link, bool must_watch);
  [[nodiscard]] bool can_fill(std::int32_t link);
  double count_owners(std::int32_t link);
  void ask_review(std::int32_t link);
  void review();

  // Progressive filling (fair_share_fill.cpp).
  void rebuild();
  void unbuild();
  void fill();
  void fix_open_classes(std::int32_t link);
  void fix(std::int32_t c, std::int32_t owner, double level);
  void couple();
  [[nodiscard]] double share_of(std::int32_t link) const;

  ClassTable classes_;
  std::vector<double> outer_capacity_;
  std::int64_t now_ = 0;
  bool has_starts_ = false;
  std::vector<LinkState> links_;
  std::vector<double>
      free_;  ///< by link: capacity that other owners leave; a slack link: if watched
  std::vector<std::int32_t> place_;   ///< by link: in order_, 0: slack
  std::vector<Couplings> couplings_;  ///< by link: flows it owns that cross a full or watched link
  std::vector<OwnedHeap> owned_;      ///< by link
  DueTimes due_;                      ///< by link: tick of the next drain
  std::vector<std::int32_t> order_{-1};  ///< from 1 on: full links, ascending by level
  std::vector<Mark> marked_{kClean};     ///< by place; slack links write to the first
  std::size_t first_marked_ = 1;
  std::uint32_t survey_ = 0;
  std::vector<std::int32_t> to_check_;
  std::vector<std::int32_t> to_review_;
  std::vector<std::int32_t> released_;  ///< a class for each drained member that holds a share
  std::vector<std::int32_t> pending_;   ///< classes with flows and no owner; place: in this list
  std::vector<double> remaining_;       ///< of each of them: bytes until its first member drains
  std::int64_t num_owned_ = 0;          ///< classes
  std::vector<std::int32_t> scratch_;

  // Of a rebuild.
  struct Share {
    double level = 0.0;
    std::int32_t link = 0;
  };
  std::vector<bool> is_open_;        ///< by class: without an owner yet
  std::vector<Share> shares_;        ///< min-heap by (level, link)
  std::vector<std::int32_t> count_;  ///< by link, zero between uses
  Work work_;
};

}  // namespace moesim
