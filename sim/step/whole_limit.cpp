// SPDX-License-Identifier: Apache-2.0
#include "sim/step/whole_limit.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "sim/core/check.hpp"
#include "sim/step/attention_cost.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, 6> kNames = {
    "compute", "HBM", "launches", "scale-up links", "scale-out links", "schedule"};

int moe_layers(const ModelShape& model) {
  int layers = 0;
  for (int layer = 0; layer < model.layers; ++layer) {
    layers += is_moe_layer(model, layer) ? 1 : 0;
  }
  return layers;
}

/// Routed and shared experts of an average rank, its slots even.
Seconds even_experts(const WholeModel& m, const ComputeModel& compute) {
  const std::int64_t tokens = m.batch.tokens_per_rank;
  const std::int64_t slots =
      m.step.placements.empty() ? 0 : m.step.placements.front().num_slots() / m.step.ranks;
  if (slots == 0) {
    return {};
  }
  const std::int64_t rows = tokens * m.step.model.top_k;
  std::vector<std::int64_t> even(static_cast<std::size_t>(slots));
  for (std::int64_t i = 0; i < slots; ++i) {
    even[static_cast<std::size_t>(i)] = rows * (i + 1) / slots - rows * i / slots;
  }
  return expert_time(compute, m.step.model, even) +
         shared_expert_time(compute, m.step.model, tokens);
}

/// One layer's kernels of a compute part.
Seconds part_time(const WholeModel& m, WholePart part, const ComputeModel& compute) {
  const ModelShape& model = m.step.model;
  const AttentionLoad load = attention_load(m.kind, m.batch, m.parallel, m.kv_dtype);
  ModelShape share = model;
  share.attention = attention_share(model.attention, m.parallel.tp);
  switch (part) {
    case WholePart::kAttention:
      return attention_time(compute, share, load);
    case WholePart::kDense:
      return dense_ffn_time(compute, model, m.parallel.tp, load.tokens());
    case WholePart::kGate:
      return gate_time(compute, model, m.batch.tokens_per_rank);
    case WholePart::kExperts:
      return even_experts(m, compute);
    case WholePart::kHead:
      return head_time(compute,
                       model,
                       m.parallel.tp,
                       m.kind == StepKind::kTrain ? load.tokens() : load.sequences);
    default:
      MOESIM_CHECK(false, "no compute part");
      return {};
  }
}

Resource compute_resource(const WholeModel& m, WholePart part) {
  const ComputeModel as_it_is{m.step.cluster.gpu, m.step.constants};
  ComputeModel faster = as_it_is;
  faster.gpu.bf16_rate = faster.gpu.bf16_rate * 2;
  faster.gpu.fp8_rate = faster.gpu.fp8_rate * 2;
  ComputeModel wider = as_it_is;
  wider.gpu.memory_bandwidth = wider.gpu.memory_bandwidth * 2;
  ComputeModel quicker = as_it_is;
  quicker.constants.kernel_launch = quicker.constants.kernel_launch / 2;
  quicker.constants.expert_floor = quicker.constants.expert_floor / 2;
  for (DenseKernels* dense : {&quicker.constants.dense_bf16, &quicker.constants.dense_fp8}) {
    dense->kernel_launch = dense->kernel_launch / 2;
  }
  const std::array<Seconds, 3> left = {
      part_time(m, part, faster), part_time(m, part, wider), part_time(m, part, quicker)};
  return static_cast<Resource>(std::min_element(left.begin(), left.end()) - left.begin());
}

/// The first `count` GPUs.
bool in_one_domain(const WholeModel& m, std::int64_t count) {
  const std::vector<GpuPlace>& gpus = m.step.cluster.gpus;
  return std::all_of(gpus.begin(), gpus.begin() + count, [&](const GpuPlace& gpu) {
    return gpu.domain == gpus.front().domain;
  });
}

/// @param starts of all its kernels on one rank
Resource exchange_resource(const WholeModel& m, Seconds time, Seconds starts) {
  if (starts >= time / 2) {
    return Resource::kLaunches;
  }
  return in_one_domain(m, m.step.ranks) ? Resource::kScaleUpLinks : Resource::kScaleOutLinks;
}

/// How often a stage goes through a layer of its own: for each micro-batch once, in training there
/// and back; of all layers that many over the stages.
double passes_per_layer(const WholeModel& m) {
  const double ways = m.kind == StepKind::kTrain ? 2 : 1;
  return ways * m.batch.micro_batches / m.parallel.pp;
}

}  // namespace

std::string_view resource_name(Resource resource) {
  return kNames[static_cast<std::size_t>(resource)];
}

WholeLimit limit_of(const WholeModel& m, const WholeParts& parts) {
  constexpr auto kSlowed = static_cast<std::size_t>(WholePart::kSlowed);
  WholeParts own = parts;
  own[kSlowed] = {};
  own[static_cast<std::size_t>(WholePart::kHost)] = {};
  const auto largest = std::max_element(own.begin(), own.end());
  const Seconds time = largest->to_seconds();
  const Seconds all = std::accumulate(parts.begin(), parts.end(), SimTime{}).to_seconds();
  WholeLimit limit;
  limit.part = static_cast<WholePart>(largest - own.begin());
  limit.share = all.value > 0 ? time / all : 0;
  const CostConstants& c = m.step.constants;
  const double passes = passes_per_layer(m);
  const double layers = passes * moe_layers(m.step.model);
  switch (limit.part) {
    case WholePart::kDispatch:
      limit.resource = exchange_resource(m, time, layers * c.communication_start);
      break;
    case WholePart::kCombine:
      limit.resource =
          exchange_resource(m, time, layers * (c.communication_start + c.combine_extra_start));
      break;
    case WholePart::kTensorParallel:
      limit.resource = exchange_resource(
          m, time, passes * (4.0 * m.step.model.layers - 1) * c.communication_start);
      break;
    case WholePart::kPipeline:
    case WholePart::kGradients:
    case WholePart::kWeights:
      limit.resource =
          in_one_domain(m, m.parallel.gpus()) ? Resource::kScaleUpLinks : Resource::kScaleOutLinks;
      break;
    case WholePart::kBubble:
      limit.resource = Resource::kSchedule;
      break;
    case WholePart::kOptimiser:
      limit.resource = Resource::kMemory;
      break;
    default:
      limit.resource = compute_resource(m, limit.part);
      break;
  }
  return limit;
}

}  // namespace moesim
