// SPDX-License-Identifier: Apache-2.0
#include "sim/step/memory.hpp"

#include <algorithm>

#include "sim/core/check.hpp"
#include "sim/step/memory_parts.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, kNumMemoryParts> kPartNames = {"experts",
                                                                      "shared experts",
                                                                      "attention",
                                                                      "dense layers",
                                                                      "embeddings",
                                                                      "gates and norms",
                                                                      "gradients",
                                                                      "optimiser",
                                                                      "KV cache",
                                                                      "activations",
                                                                      "communication",
                                                                      "reserved"};

/// Largest of 1, 2, 3, ... (times `unit`) for which `holds`, which is monotonous.
template <typename Holds>
std::optional<std::int64_t> largest_that(std::int64_t unit, const Holds& holds) {
  constexpr std::int64_t kMost = std::int64_t{1} << 30;
  std::int64_t good = 0;
  std::int64_t bad = kMost / unit + 1;
  while (bad - good > 1) {
    const std::int64_t middle = good + (bad - good) / 2;
    (holds(middle * unit) ? good : bad) = middle;
  }
  return good > 0 ? std::optional(good * unit) : std::nullopt;
}

Bytes kv_cache(const MemoryModel& m, int stage) {
  if (m.kind == StepKind::kTrain) {
    return {};
  }
  const double sequences = static_cast<double>(sequences_per_rank(m.kind, m.batch)) *
                           m.parallel.tp * m.batch.micro_batches;
  const double elements =
      static_cast<double>(kv_elements(attention_share(m.model.attention, m.parallel.tp)));
  int layers = 0;
  for (const StageLayers part : stage_layers(m.model, m.parallel, stage)) {
    layers += part.last - part.first;
  }
  return bytes(sequences * m.batch.context_tokens * elements * layers *
               bytes_per_element(m.memory.kv_dtype));
}

}  // namespace

std::string_view memory_part_name(MemoryPart part) {
  return kPartNames[static_cast<std::size_t>(part)];
}

Bytes MemoryBill::total() const {
  Bytes sum;
  for (const Bytes part : parts) {
    sum += part;
  }
  return sum;
}

MemoryBill memory_bill(const MemoryModel& m, int stage) {
  MOESIM_CHECK(m.kind != StepKind::kMoeLayers, "only a whole model has a bill");
  MOESIM_CHECK(stage >= 0 && stage < m.parallel.pp, "a stage of the pipeline");
  MemoryBill bill;
  bill.stage = stage;
  const auto put = [&](MemoryPart part, Bytes size) {
    bill.parts[static_cast<std::size_t>(part)] = size;
  };
  const StageWeights weights = stage_weights(m, stage);
  const bool divided = m.kind == StepKind::kTrain && m.memory.zero_stage >= 3;
  const double experts_over = divided ? copies_of_experts(m) : 1;
  const double others_over = divided ? copies_of_others(m) : 1;
  const double expert_bytes = stored_bytes_per_weight(m.model.weight_dtype);
  const double dense_bytes = stored_bytes_per_weight(m.model.dense_dtype);
  put(MemoryPart::kExperts, bytes(weights.experts * expert_bytes / experts_over));
  put(MemoryPart::kSharedExperts, bytes(weights.shared * expert_bytes / others_over));
  put(MemoryPart::kAttention, bytes(weights.attention * dense_bytes / others_over));
  put(MemoryPart::kDenseLayers, bytes(weights.dense * dense_bytes / others_over));
  put(MemoryPart::kEmbeddings, bytes(weights.embeddings * kBf16Bytes / others_over));
  put(MemoryPart::kGatesAndNorms, bytes(weights.gates_and_norms * kBf16Bytes / others_over));
  if (m.kind == StepKind::kTrain) {
    const TrainingState state = training_state(m, stage);
    put(MemoryPart::kGradients, state.gradients);
    put(MemoryPart::kOptimiser, state.optimiser);
  }
  put(MemoryPart::kKvCache, kv_cache(m, stage));
  put(MemoryPart::kActivations, activation_bytes(m, stage));
  put(MemoryPart::kCommunication, communication_bytes(m));
  put(MemoryPart::kReserved, m.memory.reserved);
  return bill;
}

MemoryBill largest_bill(const MemoryModel& m) {
  MemoryBill largest = memory_bill(m, 0);
  for (int stage = 1; stage < m.parallel.pp; ++stage) {
    const MemoryBill bill = memory_bill(m, stage);
    if (bill.total() > largest.total()) {
      largest = bill;
    }
  }
  return largest;
}

bool fits(const MemoryModel& m) {
  return largest_bill(m).total() <= m.capacity;
}

std::optional<std::int64_t> most_tokens_per_rank(const MemoryModel& m) {
  const bool decode = m.kind == StepKind::kDecode;
  return largest_that(decode ? 1 : m.batch.context_tokens, [&](std::int64_t tokens) {
    MemoryModel tried = m;
    tried.batch.tokens_per_rank = static_cast<int>(tokens);
    return fits(tried);
  });
}

std::optional<std::int64_t> most_context_tokens(const MemoryModel& m) {
  return largest_that(1, [&](std::int64_t context) {
    MemoryModel tried = m;
    tried.batch.context_tokens = static_cast<int>(context);
    if (m.kind != StepKind::kDecode) {
      tried.batch.tokens_per_rank = static_cast<int>(context);
    }
    return fits(tried);
  });
}

}  // namespace moesim
