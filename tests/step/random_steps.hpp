// SPDX-License-Identifier: Apache-2.0
// Random small steps for property tests: a source that draws experts at random, and models around
// it.
#pragma once

#include <cstdint>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/step/step.hpp"
#include "topology/builders.hpp"

namespace moesim::testing {

/// Every token visits top_k distinct experts drawn at random, low ones more often.
class RandomRouting final : public RoutingSource {
 public:
  RandomRouting(std::vector<std::int32_t> tokens_of_rank,
                int experts,
                int top_k,
                std::uint64_t seed)
      : tokens_of_rank_(std::move(tokens_of_rank)), seed_(seed) {
    info_.num_experts = experts;
    info_.top_k = top_k;
    info_.layers = 8;
    info_.has_weights = true;
  }
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int step, int layer) const override {
    RngStream rng(seed_, "random routing", static_cast<std::uint64_t>(100 * step + layer));
    Routing routing{info_.num_experts, info_.top_k, {0}, {}, {}};
    for (const std::int32_t tokens : tokens_of_rank_) {
      for (std::int32_t t = 0; t < tokens; ++t) {
        add_token(routing, rng);
      }
      routing.token_begin.push_back(routing.token_begin.back() + tokens);
    }
    return routing;
  }

 private:
  static void add_token(Routing& routing, RngStream& rng) {
    std::vector<ExpertIndex> deck(static_cast<std::size_t>(routing.num_experts));
    std::iota(deck.begin(), deck.end(), ExpertIndex{0});
    for (std::size_t k = 0; k < static_cast<std::size_t>(routing.top_k); ++k) {
      const std::uint64_t left = deck.size() - k;
      std::swap(deck[k], deck[k + rng.below(1 + rng.below(left))]);
      routing.experts.push_back(deck[k]);
      routing.weights.push_back(static_cast<float>(rng.uniform01()));
    }
  }

  std::vector<std::int32_t> tokens_of_rank_;
  std::uint64_t seed_;
  RoutingSourceInfo info_;
};

/// A step model with the source it refers to.
struct RandomStep {
  std::unique_ptr<RoutingSource> routing;
  StepModel model;
};

inline ClusterSpec random_cluster_spec(RngStream& rng, bool single_switch) {
  ClusterSpec spec;
  spec.name = "random";
  spec.nodes = 2 + static_cast<int>(rng.below(3));
  spec.gpus_per_node = 2;
  spec.gpu = {.name = "gpu",
              .memory = gigabytes(80),
              .memory_bandwidth = gigabytes_per_second(2000),
              .bf16_rate = teraflops_per_second(900),
              .fp8_rate = teraflops_per_second(1800),
              .sms = 132};
  spec.scale_up = {1, gigabytes_per_second(450), microseconds(1)};
  spec.nic = {2, gigabytes_per_second(50), gigabytes_per_second(60), microseconds(3)};
  const auto kind =
      single_switch ? FabricKind::kSingleSwitch : static_cast<FabricKind>(rng.below(3));
  const double oversubscription = static_cast<double>(1 + rng.below(3));
  spec.fabric = {kind, 1, oversubscription, gigabytes_per_second(50), microseconds(0.5)};
  return spec;
}

inline ModelShape small_model(int num_experts, int top_k) {
  ModelShape model;
  model.name = "small";
  model.hidden_size = 512;
  model.num_experts = num_experts;
  model.top_k = top_k;
  model.shared_experts = 1;
  model.expert_width = 256;
  model.shared_expert_width = 256;
  return model;
}

inline CostConstants plain_constants() {
  CostConstants c;
  c.source = "test";
  c.kernel_launch = microseconds(3);
  c.gemm_efficiency = 0.7;
  c.tile_rows = 128;
  c.tile_columns = 128;
  c.memory_efficiency = 0.8;
  c.scale_up_efficiency = 0.75;
  c.scale_out_efficiency = 0.9;
  c.communication_start = microseconds(4);
  c.message_gap = microseconds(0.05);
  return c;
}

struct StepSize {
  int max_tokens = 40;
  bool even = false;           ///< the same number of tokens on every rank
  bool single_switch = false;  ///< no choice among paths
  bool replicas = false;       ///< half of the steps have replicas
};

/// Contiguous; or, where replicas are asked for, half of the time two more slots a rank.
inline Placement random_slots(int experts, int ranks, const StepSize& size, RngStream& rng) {
  if (!size.replicas || rng.below(2) == 0) {
    return contiguous_placement(experts, ranks);
  }
  std::vector<ExpertId> slots;
  for (int s = 0; s < experts + 2 * ranks; ++s) {
    slots.push_back(ExpertId{
        static_cast<std::int32_t>(s < experts ? static_cast<std::uint64_t>(s)
                                              : rng.below(static_cast<std::uint64_t>(experts)))});
  }
  shuffle(std::span(slots), rng);
  return placement_from_slots(std::move(slots), ranks);
}

/// 4 to 8 ranks, 2 layers, any dispatcher, forwarding, path policy, capacity policy and fabric.
inline RandomStep random_step(std::uint64_t seed, const StepSize& size = {}) {
  RngStream rng(seed, "random step");
  RandomStep step;
  StepModel& m = step.model;
  m.cluster = build_cluster(random_cluster_spec(rng, size.single_switch));
  m.ranks = static_cast<int>(m.cluster.gpus.size());
  m.layers = 2;
  const int top_k = 1 + static_cast<int>(rng.below(4));
  const int experts = m.ranks * (1 + static_cast<int>(rng.below(3)));
  m.model = small_model(experts, top_k);
  m.constants = plain_constants();
  m.constants.expert_return = RngStream(seed, "expert return").below(2) == 0;
  m.dispatch.kind = static_cast<DispatcherKind>(rng.below(9));
  m.dispatch.forwarding = static_cast<Forwarding>(rng.below(2));
  m.dispatch.chunk_tokens = static_cast<int>(rng.below(4));
  // The rounds of nccl follow the numbers of ranks, so relabelled ranks meet in another order.
  m.dispatch.channels = size.single_switch ? 0 : static_cast<int>(rng.below(3));
  m.dispatch.notify = has_notify(m.dispatch.kind) && rng.below(2) == 0;
  m.path_policy = static_cast<PathPolicy>(rng.below(2));
  m.capacity.policy = static_cast<OverflowPolicy>(rng.below(2));
  m.placements.assign(2, random_slots(experts, m.ranks, size, rng));
  m.replicas.choice = static_cast<ReplicaChoice>(size.replicas ? rng.below(4) : 0);
  std::vector<std::int32_t> tokens;
  const auto most = static_cast<std::uint64_t>(size.max_tokens);
  const auto same = static_cast<std::int32_t>(1 + rng.below(most));
  for (int r = 0; r < m.ranks; ++r) {
    tokens.push_back(size.even ? same : static_cast<std::int32_t>(rng.below(most)));
  }
  step.routing = std::make_unique<RandomRouting>(std::move(tokens), experts, top_k, seed);
  m.routing = step.routing.get();
  return step;
}

}  // namespace moesim::testing
