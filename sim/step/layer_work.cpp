// SPDX-License-Identifier: Apache-2.0
#include "sim/step/layer_work.hpp"

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

LayerCompute compute_times(const StepModel& model,
                           const Routing& routing,
                           const LayerTraffic& traffic,
                           const std::vector<std::vector<std::int64_t>>& slot_rows) {
  const ComputeModel compute{model.cluster.gpu, model.constants};
  LayerCompute times;
  for (std::size_t r = 0; r < slot_rows.size(); ++r) {
    const std::int64_t tokens = routing.token_begin[r + 1] - routing.token_begin[r];
    const double speed = model.cluster.place(id_at<GpuId>(r)).speed;
    times.gate.push_back(ticks(gate_time(compute, model.model, tokens) / speed));
    times.experts.push_back(ticks((expert_time(compute, model.model, slot_rows[r]) +
                                   shared_expert_time(compute, model.model, tokens)) /
                                  speed));
    times.reduce.push_back(
        model.constants.combine_sums
            ? SimTime{}
            : ticks(combine_reduce_time(compute, model.model, traffic.returned_rows[r], tokens) /
                    speed));
  }
  return times;
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
  result.rank_imbalance = max_over_mean(result.rank_tokens);
  for (const std::size_t e : largest(result.expert_load, kHotSpots)) {
    result.hot_experts.push_back({id_at<ExpertId>(e), static_cast<double>(result.expert_load[e])});
  }
  for (const std::size_t r : largest(result.rank_tokens, kHotSpots)) {
    result.hot_ranks.push_back({id_at<RankId>(r), static_cast<double>(result.rank_tokens[r])});
  }
}

std::int64_t transferred(const CommPlan& plan) {
  std::int64_t bytes = 0;
  for (const Transfer& t : plan.transfers) {
    bytes += t.bytes;
  }
  return bytes;
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

PreparedLayer prepare_layer(const StepModel& model, int step, int layer) {
  const Routing routing = model.routing->route(step, layer);
  const Placement& placement = model.placements[static_cast<std::size_t>(layer)];
  Rung rung{
      .counts = {.copies = {0, 0}, .assignments = {0, 0}, .relayed = {0, 0}, .slot_tokens = {}},
      .accepted = apply_capacity(routing, model.capacity, &placement)};
  rung.counts = count_ranks(
      routing, rung.accepted, placement, make_domains(rank_places(model.cluster, model.ranks)));
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
  const CopyBytes copy = copy_bytes(model.model, model.dispatch.kind, num_domains(places));
  const DispatchSetup setup{std::move(places), model.dispatch, copy};
  const std::vector<std::int64_t> tokens = rung.counts.slot_tokens;
  if (capacity.policy == OverflowPolicy::kPad) {
    pad_counts(padded_rows(routing, capacity), placement, rung.counts);
  }
  PreparedLayer prepared;
  prepared.work.layer = layer;
  prepared.work.traffic = plan_counted(
      std::move(rung.counts), routed_tokens(routing), make_domains(setup.places), setup);
  const LayerTraffic& traffic = prepared.work.traffic;
  prepared.work.compute =
      compute_times(model, routing, traffic, by_rank_of_slot(placement, traffic.slot_rows));

  LayerResult& result = prepared.result;
  result.layer = layer;
  for (const auto& of_rank : by_rank_of_slot(placement, tokens)) {
    result.rank_tokens.push_back(sum(of_rank));
  }
  describe_load(result, routing, rung.accepted);
  result.dispatch_bytes = transferred(traffic.dispatch) + transferred(traffic.notify);
  result.combine_bytes = transferred(traffic.combine);
  result.hot_pairs = hot_pairs(traffic.dispatch.logical, kHotSpots);
  return prepared;
}

}  // namespace moesim
