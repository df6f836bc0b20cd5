// SPDX-License-Identifier: Apache-2.0
// The time of one layer under a placement, kept up to date while slots change their experts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "sim/core/units.hpp"
#include "sim/moe/expert_timer.hpp"
#include "sim/moe/placement.hpp"
#include "sim/step/step.hpp"
#include "sim/study/expert_traffic.hpp"
#include "sim/study/layer_cost.hpp"
#include "sim/study/layer_resources.hpp"
#include "sim/study/overlap_counter.hpp"
#include "sim/study/replica_shares.hpp"
#include "sim/study/row_spread.hpp"

namespace moesim {

/// A slot is given another expert.
struct SlotChange {
  std::size_t slot = 0;
  std::size_t expert = 0;
};

/// Copies a token that go to a rank or domain with so many `assignments` of `tokens` tokens when
/// every choice goes there by itself, p = assignments / (tokens * top_k):
/// 1 - (1 - p)^top_k; where no copy is shared, assignments / tokens.
/// Checked by: search_parts_test.
[[nodiscard]] double expected_copies(std::int64_t assignments,
                                     double tokens,
                                     int top_k,
                                     bool shared);

/// What a placement costs in a window of the routing of one layer:
///
///   total    = fixed + dispatch + experts + combine
///   dispatch = max over resources of load / steps   (layer_resources.hpp), combine the same
///   experts  = mean over steps of max over ranks of
///              (expert_time(rows of its slots) + shared_expert_time(its tokens)) / speed
///   copies[r, s] = assignments[r, s] - stride * (kept assignments of a token beyond its first)
///
/// Rows and assignments are exact; de-duplication is counted on the kept tokens. Replicas share as
/// their rule says. Searches believe a part of it: rows are
/// smoothed over the steps, and copies are a mean of those counted, with weight believed.sharing,
/// and those expected (expected_copies), rounded. Loads are whole picoseconds, so a state reached
/// by changes equals one built afresh. Source: DESIGN 5.4 to 5.7 without the clock: the busiest
/// link and rank, each phase after the other. Valid for: dropless layers; a step's layers one after
/// the other. Left out: sharing among flows, ranks that run ahead, latencies, capacity, the
/// kernels of expert_return. Cost: of a change, O(kept assignments of the experts moved + ranks *
/// (terms + steps)); with kLeastLoaded O(assignments). Checked by: placement_cost_test (worked, and
/// against the simulated layer), placement_bench.
class PlacementCost {
 public:
  /// `model`, `traffic` and `resources` outlive it. @pre start has model.ranks ranks
  PlacementCost(const StepModel& model,
                const ExpertTraffic& traffic,
                const LayerResources& resources,
                const Placement& start,
                const Believed& believed = {});

  [[nodiscard]] LayerCost cost() const;
  /// What searches minimise: cost().guarded(tail), the busiest resource of either phase softened to
  /// (sum of load^64)^(1/64), so that a second busiest one counts and noise does less.
  [[nodiscard]] Seconds objective(double tail) const;
  /// Each slot once; every expert keeps a slot.
  void change(std::span<const SlotChange> changes);
  /// Takes back the last change(), once.
  void undo();

  [[nodiscard]] std::span<const std::size_t> expert_of_slot() const { return expert_of_slot_; }
  [[nodiscard]] std::span<const std::size_t> slots_of(std::size_t expert) const {
    return slots_of_[expert];
  }
  [[nodiscard]] std::size_t slots_per_rank() const { return slots_per_rank_; }
  [[nodiscard]] std::size_t num_experts() const { return slots_of_.size(); }
  [[nodiscard]] std::size_t steps() const { return static_cast<std::size_t>(traffic_.steps); }
  /// The slowest rank of a step, of equal ones the first.
  [[nodiscard]] std::size_t slowest_rank(std::size_t step) const;
  [[nodiscard]] Placement placement() const;

 private:
  [[nodiscard]] std::size_t ranks() const { return resources_.domains.of_rank.size(); }
  void set_shared();
  void set_experts(LayerCost& cost) const;
  /// The start's rows, copies, loads and times.
  void serve_all();
  void move(std::span<const SlotChange> changes);
  [[nodiscard]] ServedExpert serve(std::size_t expert) {
    return shares_.serve(expert, slots_of_[expert]);
  }
  void share_rows(const ServedExpert& served, int sign);
  /// Adds (sign 1) or removes (-1) what the kept assignments of an expert visit.
  void count_kept(OverlapCounter& counter, std::size_t expert, const ReplicaRows& rows, int sign);
  void visit(std::size_t expert, const ReplicaRows& ranks);
  void recount(std::size_t expert, const ReplicaRows& before, const ReplicaRows& now);
  void recount_rows(OverlapCounter& counter,
                    std::size_t expert,
                    const ReplicaRows& before,
                    const ReplicaRows& after);
  [[nodiscard]] ReplicaRows domains_of(ReplicaRows ranks) const;
  void touch(std::size_t rank);
  void settle_loads();
  void shift(std::span<const ResourceTerm> terms, std::int64_t units);
  /// Copies to ranks or to domains, by source: what was counted and what loads_ holds of it.
  struct Copies {
    const TermTable& table;
    std::vector<std::int64_t>& sent;     ///< assignments
    const OverlapCounter* again;         ///< none: no copy is shared
    std::vector<std::int64_t>& settled;  ///< units that loads_ holds
  };
  [[nodiscard]] Copies to_ranks();
  [[nodiscard]] Copies to_domains();
  [[nodiscard]] std::int64_t counted(const Copies& copies,
                                     std::size_t row,
                                     std::size_t source) const;
  [[nodiscard]] double expected_of_token(const Copies& copies, std::size_t row) const;
  void settle(const Copies& copies, std::size_t row);
  [[nodiscard]] double rank_seconds(std::size_t step, std::size_t rank) const;

  const StepModel& model_;
  ExpertTimer timer_;
  const ExpertTraffic& traffic_;
  const LayerResources& resources_;
  std::size_t slots_per_rank_;
  ReplicaShares shares_;
  double believed_sharing_;
  std::vector<double> tokens_of_source_;
  double tokens_ = 0.0;
  LayerCost fixed_;
  std::vector<std::size_t> expert_of_slot_;
  std::vector<std::vector<std::size_t>> slots_of_;  ///< ascending
  std::vector<std::int64_t> rows_;                  ///< [step, last: peaks][slot]
  std::vector<std::int64_t> sent_;                  ///< [rank][source] assignments
  std::vector<std::int64_t> sent_to_domain_;        ///< [domain][source]
  OverlapCounter by_rank_;
  OverlapCounter by_domain_;
  std::vector<std::int64_t> settled_rank_;    ///< [rank][source] units that loads_ holds
  std::vector<std::int64_t> settled_domain_;  ///< [domain][source]
  std::vector<std::int64_t> loads_;           ///< by resource, picoseconds
  std::vector<double> own_seconds_;           ///< [step, last: peaks][rank] shared experts
  std::vector<double> rank_seconds_;          ///< [step, last: peaks][rank]
  std::vector<char> is_touched_;              ///< by rank
  std::vector<std::size_t> touched_;
  std::vector<SlotChange> last_;                              ///< that takes the last change back
  std::vector<std::pair<std::size_t, double>> last_seconds_;  ///< of rank_seconds_, before it
};

}  // namespace moesim
