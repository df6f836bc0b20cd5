// SPDX-License-Identifier: Apache-2.0
// Gate, plan and places of a rank; the phases of its experts are in rank_forward.cpp and
// rank_backward.cpp.
#include "gpu_ref/layer/rank_layer.hpp"

#include <stdexcept>

#include "gpu_ref/layer/rank_state.hpp"
#include "gpu_ref/ops/losses.hpp"
#include "gpu_ref/ops/placing.hpp"
#include "gpu_ref/ops/quantise.hpp"

namespace moesim::gpu_ref {
namespace {

constexpr std::int64_t kTriedWords = 32;

void check_weights(const LayerSpec& spec, const RankWeights& weights) {
  const bool shared = spec.shape.shared_width > 0;
  if (weights.gate == nullptr || weights.gate_up == nullptr || weights.down == nullptr ||
      (shared && (weights.shared_gate_up == nullptr || weights.shared_down == nullptr))) {
    throw std::invalid_argument("layer: weights are missing");
  }
}

}  // namespace

RankLayer::RankLayer(const LayerSpec& spec,
                     int rank,
                     const RankWeights& weights,
                     StreamHandle stream) {
  check_spec(spec);
  check_weights(spec, weights);
  if (rank < 0 || rank >= spec.ranks) {
    throw std::invalid_argument("layer: rank is not in [0, ranks)");
  }
  state_ = std::make_unique<State>(spec, rank, weights, stream);
  if (!state_->is_fp8()) {
    return;
  }
  const int slots = spec.slots_per_rank();
  const auto quantise = [&](const Bf16* in, QuantisedRows& out, int outer, int inner) {
    State::reserve_rows(out.values, static_cast<std::int64_t>(slots) * outer, inner);
    State::reserve_rows(out.scales,
                        static_cast<std::int64_t>(slots) * scale_blocks(outer),
                        weight_scale_stride(inner));
    quantise_weights(in, out.values.data(), out.scales.data(), {slots, outer, inner}, stream);
  };
  quantise(weights.gate_up, state_->gate_up_q, 2 * spec.shape.expert_width, spec.shape.hidden);
  quantise(weights.down, state_->down_q, spec.shape.hidden, spec.shape.expert_width);
}

RankLayer::~RankLayer() = default;

void RankLayer::set_clock(StageClock* clock) {
  state_->clock = clock;
}

StageClock* RankLayer::clock() const {
  return state_->clock;
}

void RankLayer::State::reserve_gate() {
  const std::int64_t experts_count = spec.shape.num_experts;
  const std::int64_t top_k = spec.shape.top_k;
  for (DeviceBuffer<float>* buffer : {&logits, &scores, &choice}) {
    reserve_rows(*buffer, num_tokens, experts_count);
  }
  reserve_rows(normaliser, num_tokens, 1);
  reserve_rows(experts, num_tokens, top_k);
  reserve_rows(token_weights, num_tokens, top_k);
  reserve_rows(row_of_assignment, num_tokens, top_k);
  reserve_rows(chunk_begins, num_chunks(num_tokens * top_k), experts_count);
  for (DeviceBuffer<std::int32_t>* buffer : {&counts, &quota, &row_begin}) {
    reserve_rows(*buffer, experts_count, 1);
  }
  reserve_rows(mean_scores, experts_count, 1);
  reserve_rows(losses, 2, 1);
  if (spec.capacity.overflow == Overflow::kNextBest) {
    reserve_rows(tried, num_tokens, kTriedWords);
  }
}

void RankLayer::State::run_gate() {
  timed(Stage::kGate, [&] {
    gate_logits(blas, x, weights.gate, logits.data(), gate_shape());
    const TopkOutputs out{
        experts.data(), token_weights.data(), scores.data(), choice.data(), normaliser.data()};
    if (spec.gate.kind == GateKind::kSoftmaxTopK) {
      softmax_topk(logits.data(), spec.gate, topk_shape(), out, stream());
    } else {
      sigmoid_group_topk(logits.data(), weights.gate_bias, spec.gate, topk_shape(), out, stream());
    }
  });
}

void RankLayer::State::take_routing(const GivenRouting& given) {
  const auto assignments =
      static_cast<std::size_t>(num_tokens) * static_cast<std::size_t>(spec.shape.top_k);
  if (given.experts.size() != assignments ||
      (!given.weights.empty() && given.weights.size() != assignments)) {
    throw std::invalid_argument(
        "layer: a given routing has top_k experts a token, and as many weights or none");
  }
  for (const std::int32_t expert : given.experts) {
    if (expert < 0 || expert >= spec.shape.num_experts) {
      throw std::invalid_argument("layer: a given routing names an expert that the layer has not");
    }
  }
  experts.upload(given.experts, stream());
  if (given.weights.empty()) {
    const std::vector<float> even(assignments, 1.0F / static_cast<float>(spec.shape.top_k));
    token_weights.upload(even, stream());
  } else {
    token_weights.upload(given.weights, stream());
  }
}

void RankLayer::State::settle_choice() {
  timed(Stage::kPlace, [&] {
    if (spec.capacity.overflow == Overflow::kNextBest && num_tokens > 0) {
      const std::int64_t capacity = expert_capacity(
          spec.capacity.factor, num_tokens, spec.shape.top_k, spec.shape.num_experts);
      divert_overflow(
          experts.data(), choice.data(), tried.data(), capacity, topk_shape(), stream());
      if (!routing_given) {
        weigh_choice(
            experts.data(), scores.data(), spec.gate, topk_shape(), token_weights.data(), stream());
      }
    }
    count_assignments(experts.data(), topk_shape(), chunk_begins.data(), counts.data(), stream());
  });
  timed(Stage::kLosses, [&] {
    const bool softmax = spec.gate.kind == GateKind::kSoftmaxTopK;
    gpu_ref::mean_scores(scores.data(),
                         softmax ? nullptr : normaliser.data(),
                         topk_shape(),
                         mean_scores.data(),
                         stream());
    gate_losses(mean_scores.data(),
                counts.data(),
                softmax ? normaliser.data() : nullptr,
                spec.gate,
                topk_shape(),
                losses.data(),
                stream());
  });
}

void RankLayer::State::choose(const Bf16* tokens, std::int64_t count, const GivenRouting* given) {
  if (count < 0) {
    throw std::invalid_argument("layer: num_tokens is negative");
  }
  phase = Phase::kFresh;
  x = tokens;
  num_tokens = count;
  routing_given = given != nullptr;
  reserve_gate();
  run_gate();
  if (given != nullptr) {
    take_routing(*given);
  }
  settle_choice();
  phase = Phase::kChosen;
}

void RankLayer::choose(const Bf16* x, std::int64_t num_tokens) {
  state_->choose(x, num_tokens, nullptr);
}

void RankLayer::choose(const Bf16* x, std::int64_t num_tokens, const GivenRouting& given) {
  state_->choose(x, num_tokens, &given);
}

const std::int32_t* RankLayer::device_counts() const {
  state_->require(Phase::kChosen);
  return state_->counts.data();
}

std::vector<std::int32_t> RankLayer::counts() {
  state_->require(Phase::kChosen);
  return state_->counts.download(state_->stream());
}

const RankPlan& RankLayer::plan() const {
  state_->require(Phase::kPlanned);
  return state_->plan;
}

GateLosses RankLayer::losses() {
  state_->require(Phase::kChosen);
  const std::vector<float> values = state_->losses.download(state_->stream());
  return {values[0], values[1]};
}

std::vector<std::int32_t> RankLayer::experts() {
  state_->require(Phase::kChosen);
  return state_->experts.download(state_->stream());
}

std::vector<float> RankLayer::weights() {
  state_->require(Phase::kChosen);
  return state_->token_weights.download(state_->stream());
}

std::vector<std::int32_t> RankLayer::rows_of_assignments() {
  state_->require(Phase::kDispatched);
  return state_->row_of_assignment.download(state_->stream());
}

const LayerSpec& RankLayer::spec() const {
  return state_->spec;
}

int RankLayer::rank() const {
  return state_->rank;
}

StreamHandle RankLayer::stream() const {
  return state_->stream();
}

}  // namespace moesim::gpu_ref
