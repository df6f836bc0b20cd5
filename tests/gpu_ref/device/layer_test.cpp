// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <thread>

#include "gpu_ref/ops/fp8_gemm.hpp"
#include "tests/gpu_ref/device/layer_case.hpp"

namespace moesim::gpu_ref::testing {
namespace {

/// Four to six roundings to bf16 on the way, each 2^-8 at most: absolute in shares of the largest
/// value.
constexpr Tolerance kForward{0.015, 0.0, 0.012};
constexpr Tolerance kBackward{0.02, 0.0, 0.02};
/// The oracle rounds to FP8 from doubles, the layer from bf16: now and then by a step (1/16) apart.
constexpr Tolerance kForwardFp8{0.05, 0.0, 0.03};

LayerSpec small_spec() {
  LayerSpec spec;
  spec.shape = {.hidden = 24, .expert_width = 16, .num_experts = 8, .top_k = 2, .shared_width = 8};
  spec.gate.aux_loss_factor = 0.3F;
  spec.gate.z_loss_factor = 0.1F;
  return spec;
}

LayerSpec grouped_spec(int ranks) {
  LayerSpec spec;
  spec.shape = {.hidden = 16, .expert_width = 8, .num_experts = 16, .top_k = 4};
  spec.gate.kind = GateKind::kSigmoidGroupTopK;
  spec.gate.groups = 4;
  spec.gate.groups_kept = 2;
  spec.gate.renormalise = true;
  spec.gate.scale = 2.5F;
  spec.gate.aux_loss_factor = 0.2F;
  spec.ranks = ranks;
  return spec;
}

class LayerOnDevice : public OnDevice {
 protected:
  /// All ranks on one device, one after the other, against the oracle.
  void check_in_turn(const LayerCase& c) {
    std::vector<std::unique_ptr<DeviceRank>> ranks;
    std::vector<RankLayer*> layers;
    std::vector<RankTokens> tokens;
    std::vector<const Bf16*> d_out;
    std::vector<RankGradients> gradients;
    for (int rank = 0; rank < c.spec.ranks; ++rank) {
      ranks.push_back(std::make_unique<DeviceRank>(c, rank, stream()));
      layers.push_back(&ranks.back()->layer());
      tokens.push_back(ranks.back()->tokens());
      d_out.push_back(ranks.back()->d_out());
      gradients.push_back(ranks.back()->gradients());
    }
    const oracle::LayerWeights weights = c.oracle_weights();
    const oracle::LayerPass expected = oracle::run_layer(c.spec, weights, c.oracle_tokens());
    const bool fp8 = c.spec.precision == Precision::kFp8;
    forward_in_turn(layers, tokens);
    for (const auto& rank : ranks) {
      rank->check_forward(c, expected, fp8 ? kForwardFp8 : kForward);
    }
    if (fp8) {
      return;
    }
    backward_in_turn(layers, d_out, gradients);
    const oracle::LayerGradients slopes = oracle::layer_backward(
        c.spec, weights, c.oracle_tokens(), expected, matrix_of(c.d_out, c.spec.shape.hidden));
    for (const auto& rank : ranks) {
      rank->check_backward(c, slopes, kBackward);
    }
  }

  static std::int64_t dropped(const LayerCase& c) {
    const oracle::LayerPass pass = oracle::run_layer(c.spec, c.oracle_weights(), c.oracle_tokens());
    return std::count(pass.keep.begin(), pass.keep.end(), 0);
  }
};

TEST_F(LayerOnDevice, OneRankOverNcclIsTheOracle) {
  const LayerCase c(small_spec(), {19}, "one rank");
  DeviceRank rank(c, 0, stream());
  Communicator communicator(make_communicator_id(), 1, 0);
  NcclExchange exchange(communicator);
  StageClock clock;
  rank.layer().set_clock(&clock);
  forward(rank.layer(), exchange, rank.tokens());
  backward(rank.layer(), exchange, rank.d_out(), rank.gradients());
  const oracle::LayerPass expected =
      oracle::run_layer(c.spec, c.oracle_weights(), c.oracle_tokens());
  rank.check_forward(c, expected, kForward);
  rank.check_backward(c,
                      oracle::layer_backward(c.spec,
                                             c.oracle_weights(),
                                             c.oracle_tokens(),
                                             expected,
                                             matrix_of(c.d_out, c.spec.shape.hidden)),
                      kBackward);
  std::vector<std::string> names;
  for (const StageTime& time : clock.read()) {
    names.emplace_back(stage_name(time.stage));
    EXPECT_GE(time.time.value, 0.0);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"gate",
                                      "place",
                                      "losses",
                                      "place",
                                      "spread",
                                      "dispatch",
                                      "regroup",
                                      "gate_up",
                                      "activation",
                                      "down",
                                      "ungroup",
                                      "return",
                                      "shared",
                                      "combine",
                                      "combine_backward",
                                      "gradient_dispatch",
                                      "regroup_backward",
                                      "down_backward",
                                      "activation_backward",
                                      "gate_up_backward",
                                      "ungroup_backward",
                                      "gradient_return",
                                      "shared_backward",
                                      "gate_backward",
                                      "spread_backward"}));
  EXPECT_TRUE(clock.read().empty());
}

TEST_F(LayerOnDevice, RanksInTurnAreTheOracle) {
  LayerSpec spec = small_spec();
  spec.ranks = 4;
  check_in_turn(LayerCase(spec, {7, 0, 12, 3}, "four ranks"));
  check_in_turn(LayerCase(grouped_spec(2), {9, 14}, "groups"));
}

TEST_F(LayerOnDevice, NoTokensAtAll) {
  LayerSpec spec = small_spec();
  spec.ranks = 2;
  check_in_turn(LayerCase(spec, {0, 0}, "nothing"));
}

TEST_F(LayerOnDevice, OverflowIsDroppedOfEachRankOrOfTheGroup) {
  LayerSpec spec = small_spec();
  spec.ranks = 2;
  spec.capacity = {.overflow = Overflow::kDrop, .factor = 1.0, .scope = OverflowScope::kRank};
  const LayerCase by_rank(spec, {20, 15}, "drop");
  spec.capacity.scope = OverflowScope::kGroup;
  const LayerCase by_group(spec, {20, 15}, "drop");
  EXPECT_GT(dropped(by_rank), 0);
  EXPECT_GT(dropped(by_group), 0);
  check_in_turn(by_rank);
  check_in_turn(by_group);
}

TEST_F(LayerOnDevice, OverflowGoesToTheNextBestExpert) {
  LayerSpec spec = grouped_spec(2);
  spec.capacity = {.overflow = Overflow::kNextBest, .factor = 1.1, .scope = OverflowScope::kRank};
  const LayerCase c(spec, {18, 11}, "next best");
  LayerCase without = c;
  without.spec.capacity = {};
  EXPECT_NE(
      oracle::run_layer(c.spec, c.oracle_weights(), c.oracle_tokens()).experts,
      oracle::run_layer(without.spec, without.oracle_weights(), without.oracle_tokens()).experts);
  check_in_turn(c);
}

TEST_F(LayerOnDevice, ARoutingFromOutsideReplacesTheGates) {
  LayerSpec spec = small_spec();
  spec.ranks = 2;
  LayerCase c(spec, {10, 6}, "given");
  c.given_experts = random_experts(16, spec.shape, "given experts");
  check_in_turn(c);  // weights 1 / top_k
  c.given_weights = random_floats(32, "given weights");
  check_in_turn(c);
}

TEST_F(LayerOnDevice, OneHotExpertAndEmptyOnes) {
  LayerSpec spec = small_spec();
  spec.ranks = 4;
  LayerCase c(spec, {10, 6, 8, 8}, "hot");
  for (int t = 0; t < 32; ++t) {
    c.given_experts.insert(c.given_experts.end(), {5, t % 2 == 0 ? 4 : 2});
  }
  check_in_turn(c);
}

TEST_F(LayerOnDevice, ExpertsMayLieAnywhere) {
  LayerSpec spec = small_spec();
  spec.ranks = 2;
  spec.slot_of_expert = {7, 2, 5, 0, 3, 1, 6, 4};
  check_in_turn(LayerCase(spec, {11, 8}, "placed"));
}

TEST_F(LayerOnDevice, Fp8ForwardIsTheOracle) {
  Blas blas(stream());
  if (!has_fp8_block_gemm(blas)) {
    GTEST_SKIP() << "cuBLASLt has no FP8 GEMM with block scales on this device";
  }
  LayerSpec spec;
  spec.shape = {.hidden = 256, .expert_width = 128, .num_experts = 4, .top_k = 2};
  spec.precision = Precision::kFp8;
  spec.ranks = 2;
  check_in_turn(LayerCase(spec, {9, 5}, "fp8"));
  DeviceRank rank(LayerCase(spec, {9, 5}, "fp8"), 0, stream());
  StandInExchange exchange({2, 4, {6, 4, 4, 4, 3, 3, 2, 2}});
  EXPECT_THROW(forward(rank.layer(), exchange, rank.tokens()), std::invalid_argument);
}

TEST_F(LayerOnDevice, LaterPassesOverNcclReuseTheLayer) {
  const LayerCase large(small_spec(), {23}, "reuse");
  LayerCase small = large;
  small.token_begin = {0, 4};
  small.x.resize(4 * 24);
  DeviceRank rank(large, 0, stream());
  DeviceRank fewer(small, 0, stream());
  Communicator communicator(make_communicator_id(), 1, 0);
  NcclExchange exchange(communicator);
  forward(rank.layer(), exchange, rank.tokens());
  RankTokens few = fewer.tokens();
  forward(rank.layer(), exchange, few);
  const oracle::LayerPass expected =
      oracle::run_layer(small.spec, small.oracle_weights(), small.oracle_tokens());
  EXPECT_EQ(rank.layer().experts(), expected.experts);
  forward(rank.layer(), exchange, rank.tokens());
  rank.check_forward(large,
                     oracle::run_layer(large.spec, large.oracle_weights(), large.oracle_tokens()),
                     kForward);
}

/// One thread and one device a rank.
TEST_F(LayerOnDevice, RanksOverNcclAreTheOracle) {
  const int ranks = std::min(attached_gpus(), 4) / 2 * 2;
  if (ranks < 2) {
    GTEST_SKIP() << "fewer than two GPUs are attached";
  }
  LayerSpec spec = small_spec();
  spec.ranks = ranks;
  spec.capacity = {.overflow = Overflow::kDrop, .factor = 1.25, .scope = OverflowScope::kGroup};
  std::vector<std::int32_t> tokens = {9, 14, 0, 5};
  tokens.resize(static_cast<std::size_t>(ranks));
  const LayerCase c(spec, tokens, "nccl");
  const oracle::LayerPass expected =
      oracle::run_layer(c.spec, c.oracle_weights(), c.oracle_tokens());
  const oracle::LayerGradients slopes =
      oracle::layer_backward(c.spec,
                             c.oracle_weights(),
                             c.oracle_tokens(),
                             expected,
                             matrix_of(c.d_out, spec.shape.hidden));
  const CommunicatorId id = make_communicator_id();
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      use_device(rank);
      Stream own;
      DeviceRank device_rank(c, rank, own.handle());
      Communicator communicator(id, ranks, rank);
      NcclExchange exchange(communicator);
      forward(device_rank.layer(), exchange, device_rank.tokens());
      backward(device_rank.layer(), exchange, device_rank.d_out(), device_rank.gradients());
      device_rank.check_forward(c, expected, kForward);
      device_rank.check_backward(c, slopes, kBackward);
    });
  }
}

TEST_F(LayerOnDevice, AStandInGivesEveryRankItsTrueRows) {
  LayerSpec spec = small_spec();
  spec.ranks = 4;
  LayerCase c(spec, {10, 6, 0, 8}, "stand-in");
  c.given_experts = random_experts(24, spec.shape, "stand-in experts");
  const CountMatrix counts = count_matrix(c.given_experts, c.token_begin, spec.shape);
  for (int rank = 0; rank < 4; ++rank) {
    DeviceRank device_rank(c, rank, stream());
    StandInExchange exchange(counts);
    StageClock clock;
    device_rank.layer().set_clock(&clock);
    forward(device_rank.layer(), exchange, device_rank.tokens());
    backward(device_rank.layer(), exchange, device_rank.d_out(), device_rank.gradients());
    std::int64_t rows = 0;
    for (const std::int32_t expert : c.given_experts) {
      rows += expert / spec.slots_per_rank() == rank ? 1 : 0;
    }
    EXPECT_EQ(device_rank.layer().plan().receive_rows, rows);
    EXPECT_FALSE(exchange.uses_network());
    for (const StageTime& time : clock.read()) {
      EXPECT_FALSE(is_transfer(time.stage));  // what is not measured is not reported
    }
  }
}

TEST_F(LayerOnDevice, WhatNoLayerCanDoIsRefused) {
  const LayerCase c(small_spec(), {3}, "refused");
  DeviceRank rank(c, 0, stream());
  EXPECT_THROW(rank.layer().dispatch(), std::logic_error);
  EXPECT_THROW(rank.layer().combine_backward(nullptr), std::logic_error);
  const std::vector<std::int32_t> too_few = {1, 2};
  EXPECT_THROW(rank.layer().choose(rank.tokens().x, 3, {too_few, {}}), std::invalid_argument);
  const std::vector<std::int32_t> unknown = {1, 2, 3, 4, 5, 8};
  EXPECT_THROW(rank.layer().choose(rank.tokens().x, 3, {unknown, {}}), std::invalid_argument);
  RankWeights missing = rank.weights();
  missing.shared_down = nullptr;
  EXPECT_THROW(RankLayer(c.spec, 0, missing, stream()), std::invalid_argument);
  EXPECT_THROW(RankLayer(c.spec, 1, rank.weights(), stream()), std::invalid_argument);
}

}  // namespace
}  // namespace moesim::gpu_ref::testing
