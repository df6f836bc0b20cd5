// SPDX-License-Identifier: Apache-2.0
// Candidate placements a second on one core, and what a search of one layer finds: DeepSeek-V3's
// layer (256 experts, top-8 of 4 of 8 groups) at EP64 on 8 HGX H200 nodes, 288 and 320 slots,
// log-normal popularity of sigma 1.05, 512 tokens a rank and step, a window of 8 steps.
#include <benchmark/benchmark.h>

#include <memory>

#include "sim/core/rng.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/study/placement_search.hpp"
#include "topology/builders.hpp"

namespace {

using namespace moesim;

constexpr int kRanks = 64;
constexpr int kTokensPerRank = 512;
constexpr TrafficWindow kWindow = {.first = 0, .steps = 8};

ClusterSpec h200_nodes() {
  ClusterSpec spec;
  spec.name = "8 HGX H200";
  spec.nodes = kRanks / 8;
  spec.gpus_per_node = 8;
  spec.gpu = {.name = "H200",
              .memory = gigabytes(141),
              .memory_bandwidth = gigabytes_per_second(4800),
              .bf16_rate = teraflops_per_second(989.5),
              .fp8_rate = teraflops_per_second(1979),
              .sms = 132};
  spec.scale_up = {1, gigabytes_per_second(450), microseconds(1)};
  spec.nic = {8, gigabytes_per_second(50), gigabytes_per_second(63), microseconds(3)};
  spec.fabric.kind = FabricKind::kRail;
  spec.fabric.link_bandwidth = gigabytes_per_second(50);
  spec.fabric.hop_latency = microseconds(0.3);
  return spec;
}

CostConstants constants() {
  CostConstants c;
  c.kernel_launch = microseconds(3);
  c.gemm_efficiency = 0.7;
  c.tile_rows = 128;
  c.tile_columns = 128;
  c.memory_efficiency = 0.8;
  c.scale_up_efficiency = 0.75;
  c.scale_out_efficiency = 0.9;
  c.communication_start = microseconds(4);
  c.message_gap = microseconds(0.01);
  return c;
}

std::unique_ptr<RoutingSource> log_normal_source() {
  GeneratorSpec spec;
  spec.kind = GeneratorKind::kLogNormal;
  spec.popularity_sigma = 1.05;
  spec.groups = 8;
  spec.top_groups = 4;
  return generate::open_generated_source(spec,
                                         {.num_experts = 256,
                                          .top_k = 8,
                                          .layers = 58,
                                          .ranks = kRanks,
                                          .tokens_per_rank = kTokensPerRank},
                                         TraceDraw::kSequences,
                                         1);
}

StepModel deepseek_layer(DispatcherKind kind, const RoutingSource& routing) {
  StepModel model;
  model.cluster = build_cluster(h200_nodes());
  model.ranks = kRanks;
  model.layers = 1;
  model.model.hidden_size = 7168;
  model.model.num_experts = 256;
  model.model.top_k = 8;
  model.model.expert_width = 2048;
  model.model.weight_dtype = Dtype::kFp8;
  model.model.dispatch_dtype = Dtype::kFp8;
  model.constants = constants();
  model.dispatch.kind = kind;
  model.routing = &routing;
  return model;
}

/// Args: dispatcher, slots. Items are candidates: half of a search's moves are taken back.
void search_layer(benchmark::State& state) {
  const auto routing = log_normal_source();
  const StepModel model = deepseek_layer(static_cast<DispatcherKind>(state.range(0)), *routing);
  SearchOptions options{.slots = static_cast<int>(state.range(1)), .moves = 20'000, .threads = 1};
  SearchResult result;
  for (auto _ : state) {
    result = optimise_placement(model, kWindow, options);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * options.moves);
  const SearchedLayer& layer = result.layers.front();
  state.counters["start_us"] = layer.start.total().value * 1e6;
  state.counters["best_us"] = layer.best.total().value * 1e6;
}

/// Candidates alone: two slots exchange experts, the objective is read, the change is taken back.
/// Args: dispatcher.
void try_candidates(benchmark::State& state) {
  const auto routing = log_normal_source();
  const StepModel model = deepseek_layer(static_cast<DispatcherKind>(state.range(0)), *routing);
  const ExpertTraffic traffic = summarise_traffic(*routing, kWindow, 0);
  const LayerResources resources = layer_resources(model, model.model.num_experts);
  PlacementCost cost(
      model, traffic, resources, contiguous_placement(model.model.num_experts, kRanks));
  RngStream rng(1, "placement_bench");
  for (auto _ : state) {
    const std::size_t a = rng.below(cost.expert_of_slot().size());
    const std::size_t b = rng.below(cost.expert_of_slot().size());
    if (a == b) {
      continue;
    }
    const SlotChange changes[] = {{a, cost.expert_of_slot()[b]}, {b, cost.expert_of_slot()[a]}};
    cost.change(changes);
    benchmark::DoNotOptimize(cost.objective(0.35));
    cost.undo();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

BENCHMARK(try_candidates)
    ->ArgName("dispatcher")
    ->Arg(static_cast<int>(DispatcherKind::kPairwise))
    ->Arg(static_cast<int>(DispatcherKind::kHierarchical))
    ->Arg(static_cast<int>(DispatcherKind::kLowLatency))
    ->Unit(benchmark::kMicrosecond)
    ->MeasureProcessCPUTime();

BENCHMARK(search_layer)
    ->ArgNames({"dispatcher", "slots"})
    ->Args({static_cast<int>(DispatcherKind::kPairwise), 256})
    ->Args({static_cast<int>(DispatcherKind::kHierarchical), 256})
    ->Args({static_cast<int>(DispatcherKind::kHierarchical), 320})
    ->Args({static_cast<int>(DispatcherKind::kLowLatency), 320})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime();

}  // namespace
