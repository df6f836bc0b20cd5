// SPDX-License-Identifier: Apache-2.0
#include "sim/step/layer_work.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "sim/step/hot_spots.hpp"

namespace moesim {
namespace {

int num_domains(const std::vector<RankPlace>& places) {
  std::set<int> domains;
  for (const RankPlace& place : places) {
    domains.insert(place.domain);
  }
  return static_cast<int>(domains.size());
}

std::int64_t sum(const std::vector<std::int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), std::int64_t{0});
}

/// Counts of each rank's slots, slots in order.
std::vector<std::vector<std::int64_t>> by_rank_of_slot(
    const Placement& placement, const std::vector<std::int64_t>& slot_tokens) {
  std::vector<std::vector<std::int64_t>> by_rank(static_cast<std::size_t>(placement.num_ranks));
  for (std::size_t s = 0; s < slot_tokens.size(); ++s) {
    by_rank[placement.rank_of_slot[s].index()].push_back(slot_tokens[s]);
  }
  return by_rank;
}

void describe_load(LayerResult& result, const Routing& routing, const Accepted& accepted) {
  result.expert_load = expert_load(routing);
  result.assignments = accepted.assignments;
  result.dropped = accepted.dropped;
  result.diverted = accepted.diverted;
  result.tokens = accepted.tokens;
  result.lost_tokens = accepted.lost_tokens;
  result.padding_rows = accepted.padding_rows;
  result.gate_weight = accepted.weight;
  result.dropped_weight = accepted.dropped_weight;
  result.expert_imbalance = max_over_mean(result.expert_load);
  for (const std::size_t e : largest(result.expert_load, kHotSpots)) {
    result.hot_experts.push_back({id_at<ExpertId>(e), static_cast<double>(result.expert_load[e])});
  }
  for (const std::size_t r : largest(result.rank_tokens, kHotSpots)) {
    result.hot_ranks.push_back({id_at<RankId>(r), static_cast<double>(result.rank_tokens[r])});
  }
}

/// Values of the ranks that are left.
std::vector<std::int64_t> remaining(const std::vector<std::int64_t>& by_rank,
                                    const LostRanks& lost) {
  std::vector<std::int64_t> left;
  for (std::size_t r = 0; r < by_rank.size(); ++r) {
    if (!is_lost(lost, r)) {
      left.push_back(by_rank[r]);
    }
  }
  return left;
}

std::int64_t transferred(const CommPlan& plan) {
  std::int64_t bytes = 0;
  for (const Transfer& t : plan.transfers) {
    bytes += t.bytes;
  }
  return bytes;
}

/// Kernels of a rank that only move rows, by expert_return.
struct RowMoves {
  Seconds order;     ///< before the dispatch
  Seconds gather;    ///< into the experts' order; part of expert_time
  Seconds returned;  ///< back, before the combine
};

RowMoves row_moves(const StepModel& model,
                   const ComputeModel& compute,
                   const LayerTraffic& traffic,
                   std::int64_t rows,
                   std::size_t rank) {
  if (!compute.constants.expert_return || model.dispatch.kind == DispatcherKind::kLowLatency) {
    return {};
  }
  const bool each = sends_assignments(model.dispatch.kind);
  return {
      .order =
          each ? dispatch_order_time(compute, model.model, traffic.returned_rows[rank]) : Seconds{},
      .gather = expert_gather_time(compute, model.model, rows),
      .returned = rows == 0
                      ? Seconds{}
                      : combine_reduce_time(
                            compute, model.model, rows, each ? rows : traffic.rank_received[rank])};
}

}  // namespace

std::vector<RankPlace> rank_places(const Cluster& cluster, int ranks) {
  std::vector<RankPlace> places;
  for (int r = 0; r < ranks; ++r) {
    const GpuPlace& gpu = cluster.place(GpuId{r});
    places.push_back({gpu.domain, gpu.index_in_domain});
  }
  return places;
}

LayerCompute layer_compute(const StepModel& model,
                           const ComputeModel& compute,
                           const LayerWork& work) {
  const Placement& placement = model.placements[static_cast<std::size_t>(work.layer)];
  const auto slot_rows = by_rank_of_slot(placement, work.traffic.slot_rows);
  LayerCompute times;
  for (std::size_t r = 0; r < slot_rows.size(); ++r) {
    if (is_lost(model.lost, r)) {
      for (auto* of_rank : {&times.gate,
                            &times.experts,
                            &times.reduce,
                            &times.shared,
                            &times.order,
                            &times.moves}) {
        of_rank->emplace_back();
      }
      continue;
    }
    const std::int64_t tokens = work.tokens[r];
    const double speed = model.cluster.place(id_at<GpuId>(r)).speed;
    const RowMoves moves = row_moves(model, compute, work.traffic, sum(slot_rows[r]), r);
    const Seconds shared = shared_expert_time(compute, model.model, tokens);
    times.order.push_back(ticks(moves.order / speed));
    times.gate.push_back(ticks((gate_time(compute, model.model, tokens) + moves.order) / speed));
    times.moves.push_back(ticks((moves.gather + moves.returned) / speed));
    times.experts.push_back(
        ticks((expert_time(compute, model.model, slot_rows[r]) + moves.returned + shared) / speed));
    times.shared.push_back(std::min(ticks(shared / speed), times.experts.back()));
    times.reduce.push_back(
        model.constants.combine_sums
            ? SimTime{}
            : ticks(
                  combine_reduce_time(compute, model.model, work.traffic.returned_rows[r], tokens) /
                  speed));
  }
  return times;
}

PreparedLayer prepare_layer(const StepModel& model, int step, int layer) {
  return prepare_routed(model, layer, model.routing->route(step, layer));
}

PreparedLayer prepare_routed(const StepModel& model, int layer, const Routing& routing) {
  const Placement& placement = model.placements[static_cast<std::size_t>(layer)];
  const Domains domains = make_domains(rank_places(model.cluster, model.ranks));
  const Placed placed{.placement = placement, .domains = domains, .rule = model.replicas};
  Rung rung{
      .counts = {.copies = {0, 0}, .assignments = {0, 0}, .relayed = {0, 0}, .slot_tokens = {}},
      .accepted = apply_capacity(routing, model.capacity, placed)};
  rung.counts = count_ranks(routing, rung.accepted, placement, domains);
  PreparedLayer prepared = prepare_counted(model, model.capacity, layer, routing, std::move(rung));
  prepared.routing = digest_of(routing);
  return prepared;
}

PreparedLayer prepare_counted(const StepModel& model,
                              const CapacitySpec& capacity,
                              int layer,
                              const Routing& routing,
                              Rung rung) {
  const Placement& placement = model.placements[static_cast<std::size_t>(layer)];
  std::vector<RankPlace> places = rank_places(model.cluster, model.ranks);
  const CopyBytes copy =
      copy_bytes(model.model, model.dispatch.kind, num_domains(places), placement.num_slots());
  const DispatchSetup setup{std::move(places), model.dispatch, copy};
  const std::vector<std::int64_t> tokens = rung.counts.slot_tokens;
  if (capacity.policy == OverflowPolicy::kPad) {
    pad_counts(padded_rows(routing, capacity, placement.num_slots()), placement, rung.counts);
  }
  PreparedLayer prepared;
  prepared.work.layer = layer;
  prepared.work.traffic = plan_counted(
      std::move(rung.counts), routed_tokens(routing, placement), make_domains(setup.places), setup);
  drop_lost(prepared.work.traffic, model.lost);
  const LayerTraffic& traffic = prepared.work.traffic;
  for (std::size_t r = 0; r + 1 < routing.token_begin.size(); ++r) {
    prepared.work.tokens.push_back(routing.token_begin[r + 1] - routing.token_begin[r]);
  }
  prepared.work.compute = layer_compute(model, {model.cluster.gpu, model.constants}, prepared.work);

  LayerResult& result = prepared.result;
  result.layer = layer;
  for (const auto& of_rank : by_rank_of_slot(placement, tokens)) {
    result.rank_tokens.push_back(sum(of_rank));
  }
  describe_load(result, routing, rung.accepted);
  result.rank_imbalance = max_over_mean(remaining(result.rank_tokens, model.lost));
  result.dispatch_bytes = transferred(traffic.dispatch) + transferred(traffic.notify);
  result.combine_bytes = transferred(traffic.combine);
  result.hot_pairs = hot_pairs(traffic.dispatch.logical, kHotSpots);
  return prepared;
}

}  // namespace moesim
