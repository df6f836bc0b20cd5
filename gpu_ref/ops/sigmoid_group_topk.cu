// SPDX-License-Identifier: Apache-2.0
// sigmoid_group_topk: see topk.hpp.
#include "gpu_ref/ops/topk_common.cuh"

namespace moesim::gpu_ref {
namespace {

struct GroupGate {
  int groups;
  int groups_kept;
  float scale;
  bool renormalise;
};

/// Sum of the two largest of a group's choices, of one if it has one.
__device__ float group_score(const float* choice, int size) {
  float first = -INFINITY;
  float second = -INFINITY;
  for (int i = 0; i < size; ++i) {
    const float value = choice[i];
    second = fmaxf(second, fminf(first, value));
    first = fmaxf(first, value);
  }
  return size == 1 ? first : first + second;
}

/// Bit g is set when the token may use group g; lane g has scored it.
__device__ unsigned kept_groups(const float* choice, int num_experts, const GroupGate& gate) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int size = num_experts / gate.groups;
  const bool has_group = lane < gate.groups;
  const float score = has_group ? group_score(choice + lane * size, size) : -INFINITY;
  bool open = has_group;
  unsigned kept = 0;
  for (int n = 0; n < gate.groups_kept; ++n) {
    const Ranked mine{open ? score : -INFINITY, open ? lane : kWarp + lane};
    const int pick = warp_first(mine).index % kWarp;
    kept |= 1U << static_cast<unsigned>(pick);
    open = open && lane != pick;
  }
  return kept;
}

__global__ void sigmoid_group_topk_kernel(
    const float* logits, const float* bias, TopkShape shape, TopkOutputs out, GroupGate gate) {
  __shared__ float choice_rows[kGateWarps][kMostExperts];
  __shared__ float score_rows[kGateWarps][kMostExperts];
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t token = static_cast<std::int64_t>(blockIdx.x) * kGateWarps + warp;
  if (token >= shape.num_tokens) {
    return;
  }
  float* choice = choice_rows[warp];
  float* scores = score_rows[warp];
  const std::int64_t begin = token * shape.num_experts;
  float sum = 0.0F;
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    scores[e] = 1.0F / (1.0F + expf(-logits[begin + e]));
    choice[e] = scores[e] + (bias != nullptr ? bias[e] : 0.0F);
    out.scores[begin + e] = scores[e];
    sum += scores[e];
  }
  sum = warp_sum(sum);
  __syncwarp();
  const unsigned kept = kept_groups(choice, shape.num_experts, gate);
  __syncwarp();
  const int size = shape.num_experts / gate.groups;
  for (int e = lane; e < shape.num_experts; e += kWarp) {
    if ((kept >> static_cast<unsigned>(e / size) & 1U) == 0U) {
      choice[e] = -INFINITY;
    }
    out.choice[begin + e] = choice[e];
  }
  if (lane == 0) {
    out.normaliser[token] = sum;
  }
  __syncwarp();
  write_choice(choice,
               scores,
               shape,
               out.experts + token * shape.top_k,
               out.weights + token * shape.top_k,
               gate.scale,
               gate.renormalise);
}

}  // namespace

void sigmoid_group_topk(const float* logits,
                        const float* bias,
                        const GateSpec& gate,
                        const TopkShape& shape,
                        const TopkOutputs& out,
                        StreamHandle stream) {
  check_topk_shape("sigmoid_group_topk", shape);
  if (gate.groups < 1 || gate.groups > kMostGroups || shape.num_experts % gate.groups != 0) {
    throw std::invalid_argument(
        "sigmoid_group_topk: groups is not in [1, 32] or does not divide num_experts");
  }
  if (gate.groups_kept < 1 || gate.groups_kept > gate.groups ||
      gate.groups_kept * (shape.num_experts / gate.groups) < shape.top_k) {
    throw std::invalid_argument(
        "sigmoid_group_topk: groups_kept is not in [1, groups] or holds too few experts");
  }
  if (shape.num_tokens == 0) {
    return;
  }
  launch(sigmoid_group_topk_kernel,
         gate_launch(shape.num_tokens),
         stream,
         logits,
         bias,
         shape,
         out,
         GroupGate{gate.groups, gate.groups_kept, gate.scale, gate.renormalise});
}

}  // namespace moesim::gpu_ref
