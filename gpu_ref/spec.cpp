// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/spec.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "gpu_ref/formats.hpp"

namespace moesim::gpu_ref {
namespace {

/// As in the simulator: nearer to a whole number than this, a product is that number.
constexpr double kWholeNumberTolerance = 1e-12;
/// More than any count of assignments.
constexpr double kUnlimited = 4e18;

void require(bool condition, const std::string& what) {
  if (!condition) {
    throw std::invalid_argument("layer: " + what);
  }
}

void check_shape(const LayerShape& shape, Precision precision) {
  const int unit = precision == Precision::kFp8 ? kScaleBlock : kRowAlignment;
  const std::string multiple = " is not a positive multiple of " + std::to_string(unit);
  require(shape.hidden > 0 && shape.hidden % unit == 0, "hidden" + multiple);
  require(shape.expert_width > 0 && shape.expert_width % unit == 0, "expert_width" + multiple);
  require(shape.shared_width >= 0 && shape.shared_width % kRowAlignment == 0,
          "shared_width is not a multiple of 8");
  require(shape.num_experts >= 1 && shape.num_experts <= kMostExperts,
          "num_experts is not in [1, 1024]");
  require(shape.top_k >= 1 && shape.top_k <= kMostTopK && shape.top_k <= shape.num_experts,
          "top_k is not in [1, 32] or more than num_experts");
}

void check_gate(const GateSpec& gate, const LayerShape& shape) {
  require(std::isfinite(gate.scale) && gate.scale > 0, "the scale of the gate is not positive");
  if (gate.kind == GateKind::kSigmoidGroupTopK) {
    require(gate.groups >= 1 && gate.groups <= kMostGroups && shape.num_experts % gate.groups == 0,
            "groups is not in [1, 32] or does not divide num_experts");
    require(gate.groups_kept >= 1 && gate.groups_kept <= gate.groups &&
                gate.groups_kept * (shape.num_experts / gate.groups) >= shape.top_k,
            "groups_kept is not in [1, groups] or holds too few experts");
    require(gate.z_loss_factor == 0, "a sigmoid gate has no z-loss");
  }
}

void check_slots(const LayerSpec& spec) {
  if (spec.slot_of_expert.empty()) {
    return;
  }
  std::vector<std::int32_t> sorted = spec.slot_of_expert;
  std::sort(sorted.begin(), sorted.end());
  bool whole = sorted.size() == static_cast<std::size_t>(spec.shape.num_experts);
  for (std::size_t i = 0; whole && i < sorted.size(); ++i) {
    whole = sorted[i] == static_cast<std::int32_t>(i);
  }
  require(whole, "slot_of_expert does not give every expert a slot of its own");
}

}  // namespace

void check_spec(const LayerSpec& spec) {
  check_shape(spec.shape, spec.precision);
  check_gate(spec.gate, spec.shape);
  require(spec.ranks >= 1 && spec.shape.num_experts % spec.ranks == 0,
          "ranks does not divide num_experts");
  check_slots(spec);
  if (spec.capacity.overflow != Overflow::kNone) {
    require(std::isfinite(spec.capacity.factor) && spec.capacity.factor > 0,
            "the capacity factor is not positive");
  }
  require(
      spec.capacity.overflow != Overflow::kNextBest || spec.capacity.scope == OverflowScope::kRank,
      "next-best works in the scope of a rank");
}

std::int64_t expert_capacity(double factor, std::int64_t tokens, int top_k, int num_experts) {
  if (tokens == 0) {
    return 0;
  }
  const double share = static_cast<double>(tokens) * top_k / num_experts;
  const double exact = factor * share;
  if (exact >= kUnlimited) {
    return static_cast<std::int64_t>(kUnlimited);
  }
  const double capacity = std::ceil(exact * (1.0 - kWholeNumberTolerance));
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(capacity));
}

}  // namespace moesim::gpu_ref
