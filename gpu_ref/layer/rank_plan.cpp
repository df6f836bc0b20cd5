// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/layer/rank_plan.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "gpu_ref/ops/fp8_gemm.hpp"

namespace moesim::gpu_ref {
namespace {

std::int64_t sum_of(std::span<const std::int32_t> counts) {
  std::int64_t sum = 0;
  for (const std::int32_t count : counts) {
    sum += count;
  }
  return sum;
}

std::int64_t padded(std::int64_t rows, Precision precision) {
  const std::int64_t unit = precision == Precision::kFp8 ? kFp8RowMultiple : 1;
  return (rows + unit - 1) / unit * unit;
}

std::int32_t narrow(std::int64_t rows) {
  if (rows > std::numeric_limits<std::int32_t>::max()) {
    throw std::invalid_argument("layer: more than 2^31 - 1 rows on a rank");
  }
  return static_cast<std::int32_t>(rows);
}

/// The experts in the order of their slots.
std::vector<int> experts_by_slot(const LayerSpec& spec) {
  std::vector<int> experts(static_cast<std::size_t>(spec.shape.num_experts));
  for (int e = 0; e < spec.shape.num_experts; ++e) {
    experts[static_cast<std::size_t>(spec.slot_of(e))] = e;
  }
  return experts;
}

void plan_sends(const LayerSpec& spec,
                int rank,
                const CountMatrix& kept,
                std::span<const int> experts,
                RankPlan& plan) {
  plan.quota.assign(kept.of_rank(rank).begin(), kept.of_rank(rank).end());
  plan.row_begin.resize(plan.quota.size());
  const auto slots = static_cast<std::size_t>(spec.slots_per_rank());
  for (std::size_t slot = 0; slot < experts.size(); ++slot) {
    if (slot % slots == 0) {
      plan.sends.push_back({static_cast<int>(slot / slots), plan.send_rows, 0});
    }
    const std::int32_t count = kept.at(rank, experts[slot]);
    plan.row_begin[static_cast<std::size_t>(experts[slot])] = narrow(plan.send_rows);
    plan.send_rows += count;
    plan.sends.back().count += count;
  }
  narrow(plan.send_rows);
}

void plan_receives(const LayerSpec& spec,
                   int rank,
                   const CountMatrix& kept,
                   std::span<const int> experts,
                   RankPlan& plan) {
  const auto slots = static_cast<std::size_t>(spec.slots_per_rank());
  const std::span<const int> local = experts.subspan(static_cast<std::size_t>(rank) * slots, slots);
  std::vector<std::int64_t> next(slots);  // row of each local slot's next run, in expert order
  plan.expert_row_begin.assign(1, 0);
  for (std::size_t slot = 0; slot < slots; ++slot) {
    std::int64_t rows = 0;
    for (int source = 0; source < spec.ranks; ++source) {
      rows += kept.at(source, local[slot]);
    }
    next[slot] = plan.expert_row_begin.back();
    plan.expert_row_begin.push_back(next[slot] + padded(rows, spec.precision));
  }
  narrow(plan.expert_rows());
  for (int source = 0; source < spec.ranks; ++source) {
    PeerRows& peer = plan.receives.emplace_back(PeerRows{source, plan.receive_rows, 0});
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const std::int32_t count = kept.at(source, local[slot]);
      if (count > 0) {
        plan.runs.push_back({narrow(plan.receive_rows), narrow(next[slot]), count});
      }
      next[slot] += count;
      plan.receive_rows += count;
      peer.count += count;
    }
  }
}

}  // namespace

CountMatrix count_matrix(std::span<const std::int32_t> experts,
                         std::span<const std::int32_t> token_begin,
                         const LayerShape& shape) {
  CountMatrix matrix{static_cast<int>(token_begin.size()) - 1, shape.num_experts, {}};
  matrix.counts.resize(static_cast<std::size_t>(matrix.ranks) *
                       static_cast<std::size_t>(shape.num_experts));
  for (std::size_t rank = 0; rank + 1 < token_begin.size(); ++rank) {
    const auto top_k = static_cast<std::size_t>(shape.top_k);
    const std::size_t begin = static_cast<std::size_t>(token_begin[rank]) * top_k;
    const std::size_t end = static_cast<std::size_t>(token_begin[rank + 1]) * top_k;
    for (const std::int32_t expert : experts.subspan(begin, end - begin)) {
      if (expert >= 0) {
        ++matrix.counts[rank * static_cast<std::size_t>(shape.num_experts) +
                        static_cast<std::size_t>(expert)];
      }
    }
  }
  return matrix;
}

CountMatrix kept_counts(const LayerSpec& spec, const CountMatrix& assignments) {
  if (spec.capacity.overflow != Overflow::kDrop) {
    return assignments;
  }
  CountMatrix kept = assignments;
  const bool group = spec.capacity.scope == OverflowScope::kGroup;
  const std::int64_t all_tokens = sum_of(assignments.counts) / spec.shape.top_k;
  std::vector<std::int64_t> taken(static_cast<std::size_t>(assignments.experts));
  for (int rank = 0; rank < assignments.ranks; ++rank) {
    const std::int64_t tokens =
        group ? all_tokens : sum_of(assignments.of_rank(rank)) / spec.shape.top_k;
    const std::int64_t capacity =
        expert_capacity(spec.capacity.factor, tokens, spec.shape.top_k, spec.shape.num_experts);
    if (!group) {
      std::fill(taken.begin(), taken.end(), 0);
    }
    for (std::size_t e = 0; e < taken.size(); ++e) {
      std::int32_t& count = kept.counts[static_cast<std::size_t>(rank) * taken.size() + e];
      count = static_cast<std::int32_t>(std::min<std::int64_t>(count, capacity - taken[e]));
      taken[e] += count;
    }
  }
  return kept;
}

RankPlan plan_rank(const LayerSpec& spec, int rank, const CountMatrix& kept) {
  if (kept.ranks != spec.ranks || kept.experts != spec.shape.num_experts) {
    throw std::invalid_argument("layer: the counts are not those of its ranks and experts");
  }
  RankPlan plan;
  const std::vector<int> experts = experts_by_slot(spec);
  plan_sends(spec, rank, kept, experts, plan);
  plan_receives(spec, rank, kept, experts, plan);
  return plan;
}

}  // namespace moesim::gpu_ref
