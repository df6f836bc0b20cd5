// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/spec.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace moesim::gpu_ref {
namespace {

std::string refusal(const std::function<void(LayerSpec&)>& change) {
  LayerSpec spec;
  spec.shape = {.hidden = 128, .expert_width = 128, .num_experts = 8, .top_k = 2};
  check_spec(spec);
  change(spec);
  try {
    check_spec(spec);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "accepted";
}

TEST(LayerSpec, EveryImpossibleFieldIsNamed) {
  EXPECT_EQ(refusal([](LayerSpec& s) { s.shape.hidden = 12; }),
            "layer: hidden is not a positive multiple of 8");
  EXPECT_EQ(refusal([](LayerSpec& s) { s.shape.expert_width = 0; }),
            "layer: expert_width is not a positive multiple of 8");
  EXPECT_EQ(refusal([](LayerSpec& s) {
              s.shape.hidden = 200;
              s.precision = Precision::kFp8;
            }),
            "layer: hidden is not a positive multiple of 128");
  EXPECT_EQ(refusal([](LayerSpec& s) { s.shape.shared_width = 3; }),
            "layer: shared_width is not a multiple of 8");
  EXPECT_EQ(refusal([](LayerSpec& s) { s.shape.num_experts = 1025; }),
            "layer: num_experts is not in [1, 1024]");
  EXPECT_EQ(refusal([](LayerSpec& s) { s.shape.top_k = 9; }),
            "layer: top_k is not in [1, 32] or more than num_experts");
  EXPECT_EQ(refusal([](LayerSpec& s) { s.ranks = 3; }), "layer: ranks does not divide num_experts");
  EXPECT_EQ(refusal([](LayerSpec& s) {
              s.slot_of_expert = {0, 1, 2, 3, 4, 5, 6, 6};
            }),
            "layer: slot_of_expert does not give every expert a slot of its own");
  EXPECT_EQ(refusal([](LayerSpec& s) { s.gate.scale = 0; }),
            "layer: the scale of the gate is not positive");
  EXPECT_EQ(
      refusal([](LayerSpec& s) { s.capacity = {.overflow = Overflow::kDrop, .factor = 0.0}; }),
      "layer: the capacity factor is not positive");
  EXPECT_EQ(refusal([](LayerSpec& s) {
              s.capacity = {.overflow = Overflow::kNextBest, .scope = OverflowScope::kGroup};
            }),
            "layer: next-best works in the scope of a rank");
}

TEST(LayerSpec, GroupsOfASigmoidGateMustFit) {
  const auto sigmoid = [](int groups, int kept, float z) {
    return refusal([=](LayerSpec& s) {
      s.gate.kind = GateKind::kSigmoidGroupTopK;
      s.gate.groups = groups;
      s.gate.groups_kept = kept;
      s.gate.z_loss_factor = z;
    });
  };
  EXPECT_EQ(sigmoid(4, 2, 0), "accepted");
  EXPECT_EQ(sigmoid(3, 2, 0), "layer: groups is not in [1, 32] or does not divide num_experts");
  EXPECT_EQ(sigmoid(8, 1, 0), "layer: groups_kept is not in [1, groups] or holds too few experts");
  EXPECT_EQ(sigmoid(4, 2, 1), "layer: a sigmoid gate has no z-loss");
}

}  // namespace
}  // namespace moesim::gpu_ref
