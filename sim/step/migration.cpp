// SPDX-License-Identifier: Apache-2.0
#include "sim/step/migration.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "sim/core/check.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/path_table.hpp"

namespace moesim {
namespace {

/// Whether a rank holds an expert.
bool holds(const Placement& placement, RankId rank, ExpertId expert) {
  const auto slots = placement.slots_of(expert);
  return std::any_of(
      slots.begin(), slots.end(), [&](SlotId slot) { return placement.rank_of(slot) == rank; });
}

/// The first slot of a rank that holds the expert. @pre there is one
SlotId first_on_rank(const Placement& placement, ExpertId expert, RankId rank) {
  const auto slots = placement.slots_of(expert);
  return *std::find_if(
      slots.begin(), slots.end(), [&](SlotId slot) { return placement.rank_of(slot) == rank; });
}

/// Plans send by send.
class Planner {
 public:
  Planner(const Domains& domains, std::int64_t expert_bytes)
      : domains_(domains), expert_bytes_(expert_bytes), sent_(domains.of_rank.size()) {
    plan_.bytes = TrafficMatrix(static_cast<int>(domains.of_rank.size()));
  }

  void add_layer(const Placement& before, const Placement& after) {
    MOESIM_CHECK(before.num_experts() == after.num_experts() && before.num_ranks == after.num_ranks,
                 "a migration changes slots alone");
    for (std::size_t s = 0; s < after.expert_of_slot.size(); ++s) {
      const ExpertId expert = after.expert_of_slot[s];
      const RankId rank = after.rank_of_slot[s];
      if (first_on_rank(after, expert, rank).index() == s && !holds(before, rank, expert)) {
        send(before.slots_of(expert), before, rank);
      }
    }
  }

  Migration take() { return std::move(plan_); }

 private:
  void send(std::span<const SlotId> holders, const Placement& before, RankId to) {
    MOESIM_CHECK(!holders.empty(), "an expert to send has a holder");
    RankId from = before.rank_of(holders.front());
    for (const SlotId slot : holders.subspan(1)) {
      const RankId other = before.rank_of(slot);
      const bool nearer = is_near(other, to) && !is_near(from, to);
      const bool as_near = is_near(other, to) == is_near(from, to);
      if (nearer || (as_near && sent_[other.index()] < sent_[from.index()])) {
        from = other;
      }
    }
    sent_[from.index()] += expert_bytes_;
    plan_.bytes.at(from, to) += expert_bytes_;
    plan_.scale_out_bytes += is_near(from, to) ? 0 : expert_bytes_;
    ++plan_.experts_sent;
  }

  [[nodiscard]] bool is_near(RankId a, RankId b) const {
    return domains_.of_rank[a.index()] == domains_.of_rank[b.index()];
  }

  const Domains& domains_;
  std::int64_t expert_bytes_;
  std::vector<std::int64_t> sent_;
  Migration plan_;
};

}  // namespace

std::int64_t Migration::total_bytes() const {
  return std::accumulate(bytes.bytes.begin(), bytes.bytes.end(), std::int64_t{0});
}

Migration plan_migration(std::span<const Placement> before,
                         std::span<const Placement> after,
                         const Domains& domains,
                         Bytes expert_bytes) {
  MOESIM_CHECK(before.size() == after.size(), "a migration keeps the layers");
  Planner planner(domains, static_cast<std::int64_t>(std::ceil(expert_bytes.value)));
  for (std::size_t layer = 0; layer < before.size(); ++layer) {
    planner.add_layer(before[layer], after[layer]);
  }
  return planner.take();
}

Seconds pause_of(const StepModel& model, const Migration& migration) {
  if (migration.total_bytes() == 0) {
    return {};
  }
  const std::vector<BytesPerSecond> capacity = effective_capacities(model.cluster, model.constants);
  const PathFinder finder(model.cluster, model.path_policy, model.seed, model.path_spread);
  PathTable paths(finder, model.ranks, PathScope::kAny);
  TaskGraph graph;
  append_background(graph, migration.bytes, paths);
  graph.paths = paths.paths();
  const auto network = make_network(model.engine, capacity);
  const TaskTimes times = execute(graph, *network);
  const SimTime end = *std::max_element(times.end.begin(), times.end.end());
  return model.constants.communication_start + end.to_seconds();
}

Seconds stall_beside(const StepModel& model, const Migration& migration, int steps, int step) {
  MOESIM_CHECK(steps > 0, "a migration takes a step at least");
  if (migration.total_bytes() == 0) {
    return {};
  }
  StepModel with = model;
  with.background = TrafficMatrix(model.ranks);
  for (std::size_t pair = 0; pair < migration.bytes.bytes.size(); ++pair) {
    with.background.bytes[pair] = (migration.bytes.bytes[pair] + steps - 1) / steps;
  }
  const SimTime alone = simulate_step(model, step).makespan;
  const StepResult beside = simulate_step(with, step);
  const SimTime end = std::max(beside.makespan, beside.background_finish);
  return (end - alone).to_seconds() * static_cast<double>(steps);
}

Bytes routed_expert_bytes(const ModelShape& model) {
  const double hidden = model.hidden_size;
  const double width = model.expert_width;
  const double biases = model.expert_biases ? 2.0 * width + hidden : 0.0;
  return bytes(3.0 * hidden * width * stored_bytes_per_weight(model.weight_dtype) +
               biases * bytes_per_element(Dtype::kBf16));
}

Bytes kv_bytes_per_token(const ModelShape& model) {
  const AttentionShape& a = model.attention;
  const double elements = a.kind == AttentionKind::kMla
                              ? static_cast<double>(a.kv_lora_rank + a.rope_dim)
                              : 2.0 * a.kv_heads * a.head_dim;
  return bytes(elements * bytes_per_element(Dtype::kBf16) * model.layers);
}

}  // namespace moesim
