// SPDX-License-Identifier: Apache-2.0
// Time of one replayed step: 26 MoE layers of DeepSeek-V2-Lite, 4,096 tokens a rank, 32 ranks on 4
// HGX H200 nodes, one thread, by dispatcher. Routing: top-6 of 64 experts, drawn once (uniform), so
// that the benchmark needs no trace; reading a trace is not in it.
#include <benchmark/benchmark.h>
#include <tbb/global_control.h>

#include <utility>

#include "sim/core/rng.hpp"
#include "sim/step/step.hpp"
#include "topology/builders.hpp"

namespace {

using namespace moesim;

constexpr int kRanks = 32;
constexpr int kTokensPerRank = 4096;
constexpr int kLayers = 26;
constexpr int kExperts = 64;
constexpr int kTopK = 6;

class UniformSource final : public RoutingSource {
 public:
  UniformSource() {
    info_.num_experts = kExperts;
    info_.top_k = kTopK;
    info_.layers = kLayers;
    routing_.num_experts = kExperts;
    routing_.top_k = kTopK;
    for (int rank = 0; rank <= kRanks; ++rank) {
      routing_.token_begin.push_back(rank * kTokensPerRank);
    }
    std::vector<ExpertIndex> experts(kExperts);
    for (std::size_t e = 0; e < experts.size(); ++e) {
      experts[e] = static_cast<ExpertIndex>(e);
    }
    RngStream rng(1, "replay_bench");
    for (int token = 0; token < kRanks * kTokensPerRank; ++token) {
      for (std::size_t i = 0; i < kTopK; ++i) {
        std::swap(experts[i], experts[i + rng.below(experts.size() - i)]);
        routing_.experts.push_back(experts[i]);
      }
    }
  }
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int /*step*/, int /*layer*/) const override { return routing_; }

 private:
  RoutingSourceInfo info_;
  Routing routing_;
};

ClusterSpec four_h200_nodes() {
  ClusterSpec spec;
  spec.name = "4 HGX H200";
  spec.nodes = 4;
  spec.gpus_per_node = 8;
  spec.gpu.memory_bandwidth = gigabytes_per_second(4800);
  spec.gpu.bf16_rate = teraflops_per_second(989.5);
  spec.gpu.fp8_rate = teraflops_per_second(1979);
  spec.gpu.sms = 132;
  spec.scale_up.bandwidth = gigabytes_per_second(450);
  spec.scale_up.latency = microseconds(1);
  spec.nic.per_node = 8;
  spec.nic.bandwidth = gigabytes_per_second(50);
  spec.nic.pcie_bandwidth = gigabytes_per_second(63);
  spec.nic.latency = microseconds(3);
  spec.fabric.kind = FabricKind::kRail;
  spec.fabric.link_bandwidth = gigabytes_per_second(50);
  spec.fabric.hop_latency = microseconds(0.3);
  return spec;
}

CostConstants constants() {
  CostConstants constants;
  constants.kernel_launch = microseconds(3);
  constants.gemm_efficiency = 0.7;
  constants.tile_rows = 128;
  constants.tile_columns = 128;
  constants.memory_efficiency = 0.85;
  constants.scale_up_efficiency = 0.75;
  constants.scale_out_efficiency = 0.87;
  constants.communication_start = microseconds(12);
  constants.message_gap = microseconds(0.007);
  return constants;
}

StepModel step_model(const RoutingSource& source, DispatcherKind kind) {
  StepModel step;
  step.model.hidden_size = 2048;
  step.model.num_experts = kExperts;
  step.model.top_k = kTopK;
  step.model.expert_width = 1408;
  step.cluster = build_cluster(four_h200_nodes());
  step.dispatch.kind = kind;
  step.constants = constants();
  step.placements = std::vector<Placement>(kLayers, contiguous_placement(kExperts, kRanks));
  step.routing = &source;
  step.ranks = kRanks;
  step.layers = kLayers;
  return step;
}

void replay_step(benchmark::State& state) {
  const tbb::global_control one_thread(tbb::global_control::max_allowed_parallelism, 1);
  const UniformSource source;
  const StepModel model = step_model(source, static_cast<DispatcherKind>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(simulate_step(model, 0).makespan);
  }
}
BENCHMARK(replay_step)
    ->ArgName("pairwise0_hierarchical1_lowlatency2")
    ->Arg(static_cast<int>(DispatcherKind::kPairwise))
    ->Arg(static_cast<int>(DispatcherKind::kHierarchical))
    ->Arg(static_cast<int>(DispatcherKind::kLowLatency))
    ->Unit(benchmark::kMillisecond);

}  // namespace
