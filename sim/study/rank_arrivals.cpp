// SPDX-License-Identifier: Apache-2.0
#include "sim/study/rank_arrivals.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "sim/study/layer_resources.hpp"

namespace moesim {
namespace {

template <typename T>
T sum_of_largest(std::vector<T> values, std::size_t count) {
  const auto last = values.begin() + static_cast<std::ptrdiff_t>(std::min(count, values.size()));
  std::partial_sort(values.begin(), last, values.end(), std::greater<>());
  return std::accumulate(values.begin(), last, T{});
}

}  // namespace

RowSharing row_sharing(const StepModel& model, int slots) {
  return model.replicas.choice == ReplicaChoice::kEven || slots == model.model.num_experts
             ? RowSharing::kEven
             : RowSharing::kAny;
}

RankArrivals::RankArrivals(const StepModel& model,
                           TrafficWindow window,
                           int layer,
                           int slots,
                           const ExpertTraffic& traffic)
    : traffic_(traffic),
      sharing_(row_sharing(model, slots)),
      slots_per_rank_(static_cast<std::size_t>(slots / model.ranks)),
      spare_(static_cast<std::size_t>(slots - traffic.experts)) {
  if (counts_assignments(model.dispatch.kind)) {
    return;
  }
  std::vector<std::size_t> rank_itself(ranks());
  std::iota(rank_itself.begin(), rank_itself.end(), std::size_t{0});
  for (int step = 0; step < traffic.steps; ++step) {
    pairs_.push_back(count_pairs(
        *model.routing, {.first = window.first + step, .steps = 1}, layer, rank_itself));
  }
}

double RankArrivals::largest_part_of_a_source(int step) const {
  double largest = 0.0;
  for (std::size_t e = 0; e < experts(); ++e) {
    const auto counts = traffic_.of(step, e);
    const auto all = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
    const double most = *std::max_element(counts.begin(), counts.end());
    largest = all > 0 ? std::max(largest, most / static_cast<double>(all)) : largest;
  }
  return largest;
}

ArrivalTime RankArrivals::of_rank(int step, double per_copy) const {
  ArrivalTime arrivals{.per_copy = per_copy};
  for (std::size_t source = 0; source < ranks(); ++source) {
    std::vector<double> counts;
    for (std::size_t e = 0; e < experts(); ++e) {
      counts.push_back(traffic_.of(step, e)[source]);
    }
    arrivals.own = std::max(arrivals.own, sum_of_largest(std::move(counts), slots_per_rank_));
  }
  if (sharing_ == RowSharing::kEven) {
    const auto slots = static_cast<double>(slots_per_rank_);
    arrivals.own_part = largest_part_of_a_source(step);
    arrivals.own_rounding = slots * static_cast<double>(ranks());
    arrivals.own_slots = slots;
  }
  if (!pairs_.empty()) {
    const PairCounts& pairs = pairs_[static_cast<std::size_t>(step)];
    arrivals.shared_by =
        static_cast<double>(std::min(static_cast<std::size_t>(traffic_.top_k), slots_per_rank_));
    arrivals.shared_pairs =
        sum_of_largest(largest_pairs(pairs, slots_per_rank_ - 1), slots_per_rank_) / 2;
  }
  return arrivals;
}

double RankArrivals::least_copies() const {
  if (pairs_.empty()) {
    return not_own();
  }
  PairCounts all = pairs_.front();
  for (std::size_t step = 1; step < pairs_.size(); ++step) {
    add_pairs(all, pairs_[step]);
  }
  const GroupSizes sizes{.slots = slots_per_rank_, .spare = spare_};
  return std::max(fewest_copies(all, sizes, traffic_.top_k), not_own() - most_shared(all, sizes));
}

/// Assignments that ranks do not serve for themselves, whatever their slots hold.
double RankArrivals::not_own() const {
  return std::max(not_own_of_any(), sharing_ == RowSharing::kEven ? not_own_in_turn() : 0.0);
}

double RankArrivals::not_own_in_turn() const {
  std::int64_t sum = 0;
  for (int step = 0; step < traffic_.steps; ++step) {
    for (std::size_t e = 0; e < experts(); ++e) {
      const auto counts = traffic_.of(step, e);
      sum += std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) -
             *std::max_element(counts.begin(), counts.end());
    }
    sum -= static_cast<std::int64_t>(spare_);
  }
  return static_cast<double>(sum);
}

double RankArrivals::not_own_of_any() const {
  double sum = 0.0;
  for (std::size_t rank = 0; rank < ranks(); ++rank) {
    std::vector<double> counts(experts());
    for (int step = 0; step < traffic_.steps; ++step) {
      for (std::size_t e = 0; e < experts(); ++e) {
        counts[e] += traffic_.of(step, e)[rank];
      }
    }
    const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
    sum += all - sum_of_largest(std::move(counts), slots_per_rank_);
  }
  return sum;
}

}  // namespace moesim
