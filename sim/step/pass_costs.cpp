// SPDX-License-Identifier: Apache-2.0
#include "sim/step/pass_costs.hpp"

#include <algorithm>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr double kMostOfMemory = 0.5;

/// Rows of gate, up and their product through memory, one kernel.
Seconds activation_time(const ComputeModel& c, double rows, double width) {
  if (rows <= 0 || width <= 0) {
    return {};
  }
  return bytes(3 * rows * width * kBf16Bytes) /
             (c.gpu.memory_bandwidth * c.constants.memory_efficiency) +
         c.constants.kernel_launch;
}

/// What fp8 experts quantise backwards, a row: gradients of both outputs along both sides, 6 B an
/// element, and inputs along the other one, 2 B.
double quantised_bytes(const ModelShape& shape, double width) {
  const double up = (shape.expert_gated ? 2 : 1) * width;
  return shape.weight_dtype == Dtype::kFp8
             ? 6 * (up + shape.hidden_size) + 2 * (shape.hidden_size + width)
             : 0;
}

/// Beside products: activations computed again and quantising backwards, of the routed and shared
/// experts of a layer, by rank.
std::vector<SimTime> activations(const WholeModel& m,
                                 const ComputeModel& compute,
                                 const LayerWork& work) {
  const Placement& placement = m.step.placements[static_cast<std::size_t>(work.layer)];
  std::vector<double> rows(work.tokens.size());
  for (std::size_t slot = 0; slot < work.traffic.slot_rows.size(); ++slot) {
    rows[placement.rank_of_slot[slot].index()] += static_cast<double>(work.traffic.slot_rows[slot]);
  }
  std::vector<SimTime> times;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const double shared = static_cast<double>(m.step.model.shared_experts) *
                          m.step.model.shared_expert_width * static_cast<double>(work.tokens[r]);
    const bool again = m.training.recompute == Recompute::kSelective;
    const Seconds activation =
        again ? activation_time(compute, rows[r] * m.step.model.expert_width + shared, 1)
              : Seconds{};
    const double moved = rows[r] * quantised_bytes(m.step.model, m.step.model.expert_width) +
                         static_cast<double>(m.step.model.shared_experts) *
                             static_cast<double>(work.tokens[r]) *
                             quantised_bytes(m.step.model, m.step.model.shared_expert_width);
    const Seconds quantising =
        bytes(moved) / (compute.gpu.memory_bandwidth * compute.constants.memory_efficiency);
    times.push_back(ticks((activation + quantising) / m.step.cluster.place(id_at<GpuId>(r)).speed));
  }
  return times;
}

SimTime twice(SimTime time) {
  return time + time;
}

/// Gradients of `parameters` weights read, added to and written.
Seconds accumulation(const WholeModel& m, const ComputeModel& c, double parameters) {
  if (m.kind != StepKind::kTrain) {
    return {};
  }
  return bytes(2 * bytes_per_element(m.training.gradient_dtype) * parameters) /
         (c.gpu.memory_bandwidth * c.constants.memory_efficiency);
}

/// Weights of a layer on a rank.
struct LayerWeights {
  double attention = 0;
  double dense = 0;
  double experts = 0;  ///< routed
  double shared = 0;
  double head = 0;
};

LayerWeights layer_weights(const WholeModel& m) {
  const ModelShape& shape = m.step.model;
  ModelShape share = shape;
  share.attention = attention_share(shape.attention, m.parallel.tp);
  const double slots = m.step.placements.empty() ? 0 : m.step.placements.front().slots_per_rank();
  return {
      .attention = static_cast<double>(attention_parameters(share)),
      .dense = static_cast<double>(ffn_parameters(shape, shape.dense_width, shape.dense_gated)) /
               m.parallel.tp,
      .experts = slots * static_cast<double>(expert_parameters(shape)),
      .shared = shape.shared_experts * static_cast<double>(ffn_parameters(
                                           shape, shape.shared_expert_width, shape.expert_gated)),
      .head = static_cast<double>(embedding_parameters(shape)) / m.parallel.tp};
}

/// Nothing runs for a group without tokens.
std::vector<GroupCosts> group_costs(const WholeModel& m,
                                    const ComputeModel& compute,
                                    const ModelShape& share,
                                    const PassLoad& load) {
  std::vector<GroupCosts> costs;
  for (std::size_t g = 0; g < load.groups.size(); ++g) {
    std::int64_t sequences = 0;
    for (const AttentionLoad& one : load.groups[g]) {
      sequences += one.tokens() > 0 ? one.sequences : 0;
    }
    const std::int64_t tokens = load.tokens(g);
    costs.emplace_back();
    if (tokens > 0) {
      costs.back() = {mixed_attention_time(compute, share, load.groups[g]),
                      dense_ffn_time(compute, m.step.model, m.parallel.tp, tokens),
                      head_time(compute, m.step.model, m.parallel.tp, sequences)};
    }
  }
  return costs;
}

/// What training does beside products twice as long.
void add_training(const WholeModel& m,
                  const ComputeModel& compute,
                  const PassLoad& load,
                  PassCosts& costs) {
  if (m.kind != StepKind::kTrain) {
    return;
  }
  const LayerWeights w = layer_weights(m);
  costs.attention_backward += accumulation(m, compute, w.attention);
  costs.dense_backward += accumulation(m, compute, w.dense);
  costs.head_backward = 2.0 * costs.head +
                        cross_entropy_time(compute, m.step.model, m.parallel.tp, load.head_rows) +
                        accumulation(m, compute, w.head);
  costs.expert_gradients = ticks(accumulation(m, compute, w.experts));
  costs.shared_gradients = ticks(accumulation(m, compute, w.shared));
}

}  // namespace

std::int64_t PassLoad::tokens(std::size_t group) const {
  if (groups.empty()) {
    return attention.tokens();
  }
  std::int64_t sum = 0;
  for (const AttentionLoad& load : groups[group]) {
    sum += load.tokens();
  }
  return sum;
}

PassLoad pass_load(const WholeModel& m) {
  if (!m.loads.empty()) {
    return {.attention = {}, .head_rows = 1, .groups = m.loads};
  }
  const AttentionLoad load = attention_load(m.kind, m.batch, m.parallel, m.kv_dtype);
  return {load, m.kind == StepKind::kTrain ? load.tokens() : load.sequences};
}

PassCosts pass_costs(const WholeModel& m,
                     const ComputeModel& compute,
                     const PassLoad& load,
                     std::span<const PreparedLayer> layers,
                     bool alone) {
  const ModelShape& shape = m.step.model;
  const Recompute recompute = m.training.recompute;
  const bool selective = recompute == Recompute::kSelective;
  const int tp = m.parallel.tp;
  const std::int64_t tokens = load.attention.tokens();
  ModelShape share = shape;
  share.attention = attention_share(shape.attention, tp);
  PassCosts costs;
  costs.tp = tp;
  costs.groups = group_costs(m, compute, share, load);
  if (costs.groups.empty()) {
    costs.attention = attention_time(compute, share, load.attention);
    costs.attention_backward = attention_backward_time(compute, share, load.attention, recompute);
    costs.dense = dense_ffn_time(compute, shape, tp, tokens);
    const double width = static_cast<double>(shape.dense_width) / tp;
    costs.dense_backward =
        2.0 * costs.dense +
        (selective ? activation_time(compute, static_cast<double>(tokens), width) : Seconds{});
    costs.head = head_time(compute, shape, tp, load.head_rows);
    add_training(m, compute, load, costs);
  }
  for (const PreparedLayer& layer : layers) {
    costs.layers.push_back(alone ? layer.work.compute : layer_compute(m.step, compute, layer.work));
    if (m.kind == StepKind::kTrain) {
      costs.activation.push_back(activations(m, compute, layer.work));
    }
  }
  return costs;
}

SimTime step_time(const PassCosts& costs,
                  const ProgramStep& step,
                  std::size_t moe,
                  std::size_t rank,
                  double speed) {
  if (!costs.groups.empty()) {
    const GroupCosts& own = costs.groups[rank / static_cast<std::size_t>(costs.tp)];
    if (step.op == Op::kAttention || step.op == Op::kDense || step.op == Op::kHead) {
      return ticks((step.op == Op::kAttention ? own.attention
                    : step.op == Op::kDense   ? own.dense
                                              : own.head) /
                   speed);
    }
  }
  switch (step.op) {
    case Op::kAttention:
      return ticks((step.backward ? costs.attention_backward : costs.attention) / speed);
    case Op::kDense:
      return ticks((step.backward ? costs.dense_backward : costs.dense) / speed);
    case Op::kHead:
      return ticks((step.backward ? costs.head_backward : costs.head) / speed);
    case Op::kGate: {
      const LayerCompute& layer = costs.layers[moe];
      return step.backward ? twice(layer.gate[rank] - layer.order[rank]) + layer.reduce[rank]
                           : layer.gate[rank];
    }
    case Op::kShared: {
      const SimTime shared = costs.layers[moe].shared[rank];
      return step.backward ? twice(shared) + costs.shared_gradients : shared;
    }
    case Op::kExperts: {
      const LayerCompute& layer = costs.layers[moe];
      const SimTime routed = layer.experts[rank] - layer.shared[rank];
      const SimTime again = costs.activation.empty() ? SimTime{} : costs.activation[moe][rank];
      const SimTime moves = layer.moves[rank];
      return step.backward ? twice(routed - moves) + moves + again + costs.expert_gradients
                           : routed;
    }
    case Op::kReduce:
      return costs.layers[moe].reduce[rank];
    case Op::kGather:
    case Op::kDispatch:
    case Op::kCombine:
    case Op::kYield:
      break;
  }
  MOESIM_CHECK(false, "a step that computes nothing");
}

Seconds weight_gradients_time(const WholeModel& m,
                              const PassLoad& load,
                              const StageLayers& layers,
                              bool head,
                              std::span<const PreparedLayer> prepared) {
  const ModelShape& shape = m.step.model;
  const ComputeModel compute{m.step.cluster.gpu, m.step.constants};
  const int tp = m.parallel.tp;
  ModelShape share = shape;
  share.attention = attention_share(shape.attention, tp);
  const LayerWeights w = layer_weights(m);
  Seconds time;
  for (int layer = layers.first; layer < layers.last; ++layer) {
    time += attention_weights_time(compute, share, load.attention) +
            accumulation(m, compute, w.attention);
    if (!is_moe_layer(shape, layer)) {
      time += dense_ffn_time(compute, shape, tp, load.attention.tokens()) +
              accumulation(m, compute, w.dense);
    }
  }
  for (const PreparedLayer& layer : prepared) {
    const LayerCompute& times = layer.work.compute;
    SimTime slowest;
    for (std::size_t r = 0; r < times.experts.size(); ++r) {
      slowest = std::max(slowest, times.experts[r] - times.moves[r]);
    }
    time += slowest.to_seconds() + accumulation(m, compute, w.experts + w.shared);
  }
  if (head) {
    time += head_time(compute, shape, tp, load.head_rows) + accumulation(m, compute, w.head);
  }
  return time;
}

int kernel_sms(const DispatchSpec& dispatch) {
  return dispatch.kind == DispatcherKind::kLowLatency ? 0 : dispatch.sms;
}

ComputeModel beside_communication(const StepModel& model,
                                  std::span<const PreparedLayer> layers,
                                  PathTable& paths,
                                  const std::vector<BytesPerSecond>& capacity) {
  double moved = 0;
  Seconds time;
  for (const PreparedLayer& layer : layers) {
    const LayerTraffic& traffic = layer.work.traffic;
    moved += 2 * static_cast<double>(layer.result.dispatch_bytes + layer.result.combine_bytes);
    time += phase_load(traffic.dispatch, &traffic.notify, paths, capacity).bound +
            phase_load(traffic.combine, nullptr, paths, capacity).bound +
            2.0 * model.constants.communication_start;
  }
  ComputeModel left{model.cluster.gpu, model.constants};
  const int taken = kernel_sms(model.dispatch);
  MOESIM_CHECK(taken < left.gpu.sms, "communication leaves no multiprocessor");
  const double part = 1 - static_cast<double>(taken) / left.gpu.sms;
  left.gpu.sms -= taken;
  left.gpu.bf16_rate = left.gpu.bf16_rate * part;
  left.gpu.fp8_rate = left.gpu.fp8_rate * part;
  if (time.value > 0) {
    const BytesPerSecond rate = bytes(moved / model.ranks) / time;
    const double share = rate / (left.gpu.memory_bandwidth * model.constants.memory_efficiency);
    left.gpu.memory_bandwidth = left.gpu.memory_bandwidth * (1 - std::min(share, kMostOfMemory));
  }
  return left;
}

}  // namespace moesim
