// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/step_surface.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"

namespace moesim {
namespace {

int dense_layers_of(const ModelShape& model) {
  return model.layers - model.moe_layers;
}

/// `count` of `all` layers, evenly spaced; all of them for count 0.
std::vector<int> spaced_layers(int all, int count) {
  count = count == 0 ? all : std::min(count, all);
  std::vector<int> layers;
  for (int i = 0; i < count; ++i) {
    layers.push_back(static_cast<int>((2 * std::int64_t{i} + 1) * all / (2 * std::int64_t{count})));
  }
  return layers;
}

/// The model with these MoE layers and `dense` dense ones before them.
WholeModel part_of(const WholeModel& whole, const std::vector<int>& moe, int dense) {
  WholeModel part = whole;
  ModelShape& shape = part.step.model;
  shape.layers = static_cast<int>(moe.size()) + dense;
  shape.moe_layers = static_cast<int>(moe.size());
  shape.first_moe_layer = dense;
  shape.moe_interval = 1;
  part.step.layers = shape.moe_layers;
  part.step.placements.clear();
  for (const int layer : moe) {
    part.step.placements.push_back(whole.step.placements[static_cast<std::size_t>(layer)]);
  }
  part.step.routing = nullptr;
  return part;
}

/// Largest power of two that is not above x >= 1.
std::int64_t power_below(double x) {
  std::int64_t power = 1;
  while (static_cast<double>(power * 2) <= x) {
    power *= 2;
  }
  return power;
}

}  // namespace

StepCompute::StepCompute(const WholeModel& whole)
    : whole_(whole),
      compute_{whole.step.cluster.gpu, whole.step.constants},
      share_(whole.step.model),
      dense_layers_(dense_layers_of(whole.step.model)) {
  share_.attention = attention_share(share_.attention, whole.parallel.tp);
  for (int first = 0; first < whole.step.ranks; first += whole.parallel.tp) {
    double slowest = whole.step.cluster.place(GpuId{first}).speed;
    for (int r = first; r < first + whole.parallel.tp; ++r) {
      slowest = std::min(slowest, whole.step.cluster.place(GpuId{r}).speed);
    }
    speed_.push_back(slowest);
  }
}

template <typename Make>
Seconds StepCompute::kept(Kept& table, std::int64_t n, const Make& make) {
  const auto at = static_cast<std::size_t>(n);
  if (at >= table.size()) {
    table.resize(at + 1, -1.0);
  }
  if (table[at] < 0) {
    table[at] = make().value;
  }
  return seconds(table[at]);
}

Seconds StepCompute::attention(const std::vector<AttentionLoad>& loads, std::int64_t tokens) {
  std::int64_t decoding = 0;
  std::int64_t expanded = 0;
  for (const AttentionLoad& load : loads) {
    decoding += load.kind == StepKind::kDecode ? load.sequences : 0;
    expanded += load.kind == StepKind::kPrefill ? load.sequences * load.context : 0;
  }
  Seconds time =
      kept(tokens_, tokens, [&] { return attention_tokens_time(compute_, share_, tokens); }) +
      kept(absorption_, decoding, [&] {
        return attention_absorption_time(compute_, share_, decoding);
      });
  if (share_.attention.kind != AttentionKind::kNone) {
    time += attention_expansion_time(compute_, share_, expanded) +
            attention_core_time(compute_, share_.attention, loads);
  }
  return time;
}

Seconds StepCompute::time(const GroupLoads& loads) {
  const ModelShape& shape = whole_.step.model;
  const int tp = whole_.parallel.tp;
  double slowest_attention = 0;
  double slowest_dense = 0;
  double slowest_head = 0;
  for (std::size_t g = 0; g < loads.size(); ++g) {
    std::int64_t tokens = 0;
    std::int64_t sequences = 0;
    for (const AttentionLoad& load : loads[g]) {
      tokens += load.tokens();
      sequences += load.sequences;
    }
    if (tokens == 0) {
      continue;
    }
    const Seconds own = attention(loads[g], tokens);
    slowest_attention = std::max(slowest_attention, own.value / speed_[g]);
    if (dense_layers_ > 0) {
      const Seconds dense =
          kept(dense_, tokens, [&] { return dense_ffn_time(compute_, shape, tp, tokens); });
      slowest_dense = std::max(slowest_dense, dense.value / speed_[g]);
    }
    const Seconds head =
        kept(head_, sequences, [&] { return head_time(compute_, shape, tp, sequences); });
    slowest_head = std::max(slowest_head, head.value / speed_[g]);
  }
  return seconds(shape.layers * slowest_attention + dense_layers_ * slowest_dense + slowest_head);
}

StepSurface::StepSurface(const WholeModel& whole,
                         const RequestRoutes* routes,
                         std::span<const Request> requests,
                         int surface_layers,
                         std::uint64_t seed)
    : whole_(whole),
      routes_(routes),
      requests_(requests),
      seed_(seed),
      compute_(whole),
      num_groups_(whole.step.ranks / whole.parallel.tp),
      layers_(spaced_layers(whole.step.layers, surface_layers)),
      moe_part_(part_of(whole, layers_, 0)),
      dense_layers_(dense_layers_of(whole.step.model)) {
  MOESIM_CHECK(!requests.empty(), "no requests to sample");
  dense_part_ = part_of(whole, {}, std::min(dense_layers_, 2));
}

Seconds StepSurface::time(const GroupLoads& loads) {
  std::int64_t all = 0;
  std::int64_t most = 0;
  std::int64_t prefilled = 0;
  for (const std::vector<AttentionLoad>& group : loads) {
    std::int64_t tokens = 0;
    for (const AttentionLoad& load : group) {
      tokens += load.tokens();
      prefilled += load.kind == StepKind::kPrefill ? load.tokens() : 0;
    }
    all += tokens;
    most = std::max(most, tokens);
  }
  MOESIM_CHECK(all > 0, "a step without tokens");
  const double part = static_cast<double>(prefilled) / static_cast<double>(all);
  const double busy = static_cast<double>(all) / static_cast<double>(most);
  corners_.clear();
  add_corners(static_cast<double>(most), busy, StepKind::kDecode, 1 - part);
  add_corners(static_cast<double>(most), busy, StepKind::kPrefill, part);
  sample_missing();
  double rest = 0;
  for (const Corner& corner : corners_) {
    rest += corner.weight * rest_.at(corner.point);
  }
  return compute_.time(loads) + seconds(rest);
}

void StepSurface::add_corners(double most, double groups, StepKind kind, double weight) {
  if (weight == 0) {
    return;
  }
  const std::int64_t m0 = power_below(most);
  const std::int64_t g0 = power_below(groups);
  const std::int64_t m1 = m0 * 2;
  const std::int64_t g1 = std::min(g0 * 2, num_groups_);
  const double x = (most - static_cast<double>(m0)) / static_cast<double>(m0);
  const double y =
      g1 > g0 ? (groups - static_cast<double>(g0)) / static_cast<double>(g1 - g0) : 0.0;
  const Corner all[] = {{{m0, g0, kind}, weight * (1 - x) * (1 - y)},
                        {{m0, g1, kind}, weight * (1 - x) * y},
                        {{m1, g0, kind}, weight * x * (1 - y)},
                        {{m1, g1, kind}, weight * x * y}};
  std::copy_if(std::begin(all), std::end(all), std::back_inserter(corners_), [](const Corner& c) {
    return c.weight > 0;
  });
}

void StepSurface::sample_missing() {
  std::vector<Point> missing;
  for (const Corner& corner : corners_) {
    if (rest_.find(corner.point) == rest_.end()) {
      missing.push_back(corner.point);
    }
  }
  std::vector<double> sampled(missing.size());
  tbb::task_group_context own(tbb::task_group_context::isolated);
  tbb::parallel_for(
      std::size_t{0},
      missing.size(),
      [&](std::size_t i) { sampled[i] = sample(missing[i]).value; },
      own);
  for (std::size_t i = 0; i < missing.size(); ++i) {
    rest_.emplace(missing[i], sampled[i]);
  }
}

/// Rest of one MoE layer times their number, and the same of the dense ones.
Seconds StepSurface::sample(const Point& point) const {
  const ServedBatch batch = batch_of(point);
  Seconds rest;
  if (!layers_.empty()) {
    const Seconds layers = rest_of(moe_part_, routes_, layers_, batch);
    rest += layers * (whole_.step.layers / static_cast<double>(layers_.size()));
  }
  if (dense_layers_ > 0 && whole_.parallel.tp > 1) {
    const int simulated = dense_part_.step.model.layers;
    rest +=
        rest_of(dense_part_, nullptr, {}, batch) * (dense_layers_ / static_cast<double>(simulated));
  }
  return rest;
}

Seconds StepSurface::rest_of(const WholeModel& part,
                             const RequestRoutes* routes,
                             const std::vector<int>& layers,
                             const ServedBatch& batch) const {
  WholeModel model = part;
  model.loads = loads_of(batch, part.kv_dtype);
  Seconds makespan;
  if (layers.empty()) {
    makespan = simulate_whole_step(model, 0).makespan.to_seconds();
  } else {
    const BatchRouting routing(*routes, batch, part.parallel.tp, layers);
    model.step.routing = &routing;
    makespan = simulate_whole_step(model, 0).makespan.to_seconds();
  }
  StepCompute compute(part);
  return std::max(makespan - compute.time(model.loads), Seconds{});
}

ServedBatch StepSurface::batch_of(const Point& point) const {
  ServedBatch batch(static_cast<std::size_t>(num_groups_));
  const auto name = static_cast<std::uint64_t>((point.most * (num_groups_ + 1) + point.groups) * 2 +
                                               (point.kind == StepKind::kPrefill));
  RngStream rng(seed_, "surface point", name);
  // Drawn, not evenly spaced: with as many nodes as busy groups those would share one rail.
  std::vector<std::size_t> groups(batch.size());
  std::iota(groups.begin(), groups.end(), std::size_t{0});
  for (std::int64_t busy = 0; busy < point.groups; ++busy) {
    const auto turn = static_cast<std::size_t>(busy);
    std::swap(groups[turn], groups[turn + rng.below(groups.size() - turn)]);
    std::vector<BatchItem>& items = batch[groups[turn]];
    for (std::int64_t left = point.most; left > 0;) {
      const std::uint64_t id = rng.below(requests_.size());
      const Request& request = requests_[id];
      if (point.kind == StepKind::kPrefill) {
        const std::int64_t tokens = std::min(left, request.prompt_tokens);
        items.push_back({static_cast<std::int64_t>(id), 0, tokens, point.kind});
        left -= tokens;
      } else {
        const auto output = static_cast<std::uint64_t>(request.output_tokens);
        const auto at = static_cast<std::int64_t>(rng.below(output));
        items.push_back({static_cast<std::int64_t>(id), request.prompt_tokens + at, 1, point.kind});
        --left;
      }
    }
  }
  return batch;
}

}  // namespace moesim
