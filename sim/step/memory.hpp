// SPDX-License-Identifier: Apache-2.0
// What a rank must hold in its GPU's memory, part by part. No clock, no network.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "sim/core/units.hpp"
#include "sim/moe/dispatch.hpp"
#include "sim/moe/model.hpp"
#include "sim/step/layout.hpp"

namespace moesim {

/// [memory]
struct MemorySpec {
  Dtype kv_dtype = Dtype::kBf16;        ///< of the KV cache
  Bytes reserved;                       ///< CUDA context, NCCL, workspaces, fragmentation
  Dtype gradient_dtype = Dtype::kFp32;  ///< train
  int zero_stage = 0;                   ///< train: 1 optimiser, 2 gradients too, 3 weights too
  Recompute recompute = Recompute::kNone;
};

/// Everything a bill depends on.
struct MemoryModel {
  ModelShape model;
  ParallelSpec parallel;
  StepKind kind = StepKind::kDecode;  ///< not kMoeLayers
  BatchSpec batch;
  MemorySpec memory;
  DispatcherKind dispatcher = DispatcherKind::kPairwise;
  int slots_per_rank = 0;  ///< experts, replicas included, of one layer on one rank
  Bytes capacity;          ///< memory of a GPU
  Overlap overlap = Overlap::kNone;
  Schedule schedule = Schedule::kOneForwardOneBackward;

  /// Whether stages hold two parts of the model, from both ends.
  [[nodiscard]] bool two_ended() const {
    return kind == StepKind::kTrain && schedule == Schedule::kDualPipe;
  }
};

enum class MemoryPart : std::uint8_t {
  kExperts,        ///< weights of all resident experts
  kSharedExperts,  ///< whole on every rank, as expert_cost computes them
  kAttention,
  kDenseLayers,
  kEmbeddings,  ///< input table on the first stage, output table on the last
  kGatesAndNorms,
  kGradients,
  kOptimiser,
  kKvCache,
  kActivations,
  kCommunication,  ///< buffers of dispatch and combine
  kReserved,
};
inline constexpr std::size_t kNumMemoryParts = 12;
[[nodiscard]] std::string_view memory_part_name(MemoryPart part);  ///< "experts", ...

/// The bill of a rank of one pipeline stage; all ranks of a stage hold the same.
struct MemoryBill {
  int stage = 0;
  std::array<Bytes, kNumMemoryParts> parts{};

  [[nodiscard]] Bytes of(MemoryPart part) const { return parts[static_cast<std::size_t>(part)]; }
  [[nodiscard]] Bytes total() const;
};

/// The bill of stage `stage`, layers [first, last) of it:
///   experts      slots_per_rank * MoE layers * expert parameters * stored bytes of weight_dtype
///   shared       shared_experts * MoE layers * their FFN * the same bytes
///   attention    layers * parameters of 1/tp of the heads * stored bytes of dense_dtype
///   dense        dense layers * FFN / tp * the same bytes
///   embeddings   vocabulary * hidden / tp * 2 B, for each table that the stage holds
///   gates, norms layers' gates, router biases and RMS norms, 2 B each
///   KV cache     sequences * tp * context * kv elements of 1/tp of the heads * layers * bytes
///                * micro_batches (under way on a pipeline)
///   reserved     as given
/// With the dualpipe schedule stage s holds the parts s and pp - 1 - s: everything of both.
/// Ranks of a TP group share the sequences of all its members, so that a cache whose heads divide
/// costs a rank the same at any tp, and the latent of mla, which does not divide, tp times as much.
/// Activations, communication, gradients and optimiser have sections of their own below.
/// Source: shapes; Megatron-LM (Shoeybi et al. 2019) for what tensor parallelism divides;
/// DeepSeek-V3 report 3.4 for data-parallel attention beside expert parallelism. Valid for: experts
/// never divided by tp; every rank the same number of slots. Left out: MTP layers; paging of the
/// cache (a block too many a sequence); fragmentation beyond `reserved`. Checked by: memory_test.
[[nodiscard]] MemoryBill memory_bill(const MemoryModel& model, int stage);

/// The stage that holds most; the first of equals.
[[nodiscard]] MemoryBill largest_bill(const MemoryModel& model);

[[nodiscard]] bool fits(const MemoryModel& model);

/// Largest tokens_per_rank at which the model fits, in whole sequences for prefill and train;
/// nullopt: not even one sequence fits.
[[nodiscard]] std::optional<std::int64_t> most_tokens_per_rank(const MemoryModel& model);

/// Largest context_tokens at which it fits: decode with the same sequences, prefill and train with
/// one sequence a rank. nullopt as above; without a KV cache there may be no limit below 2^30.
[[nodiscard]] std::optional<std::int64_t> most_context_tokens(const MemoryModel& model);

/// Bytes of activations on a rank of stage `stage`. T = tokens_per_rank, widths in elements, bf16.
///   prefill, decode  one layer at a time: residual T tp hidden, and the larger of
///                    attention  T tp (hidden + q + k + v + o of 1/tp of the heads)
///                    dense      T tp (hidden + (2 + 1) width / tp)       (1 + 1 without gate)
///                    MoE        T (hidden + top_k (2 hidden + 3 width) + 3 shared width)
///                    or, on the last stage, the fp32 logits of decode: T tp vocabulary / tp,
///                    prefill: one row a sequence
///   train            kept for the backward pass by each of the layers, tokens divided by tp
///                    (sequence parallelism): attention 2 hidden + q + k + v + o; dense 2 hidden +
///                    3 width; MoE 2 hidden + top_k (2 hidden + 3 width) + 3 shared width;
///                    times the micro-batches in flight on the stage under 1F1B,
///                    min(pp - stage, micro_batches); on the last stage logits and their gradient,
///                    fp32. Interleaved (virtual_stages v > 1): 1/v of a stage's layers each time,
///                    min(v micro_batches, 2 (pp - stage - 1) + (v - 1) pp + 1) times. With
///                    dualpipe min(micro_batches, 2 (pp - stage)) of them; with the dualpipe
///                    schedule, h stages from the nearer end, pp - h of part h and h + 1 of
///                    part pp - 1 - h, pp + 1 in all, and logits on both end stages. Selective
///                    recomputation keeps one hidden row of a block, q + k + v + o (of mla the
///                    latents and o), and what FFN GEMMs give the activation and read, in their
///                    format: dense 2 width; MoE top_k (hidden + 2 width) + 2 shared width. Full:
///                    hidden for each layer, and one layer's own.
/// Source: counting the tensors of the layer (Korthikanti et al. 2022, section 4, without dropout);
/// 1F1B: Narayanan et al. 2021; selective: DeepSeek-V3 report, sections 3.2.3 and 3.3.3
/// (fp8 inputs), Megatron-Core (gate weights multiply activations). Valid for: flash
/// attention (no score matrix), routing without imbalance: a hot rank needs more. Left out:
/// workspaces of kernels. Checked by: memory_test.
[[nodiscard]] Bytes activation_bytes(const MemoryModel& model, int stage);

/// Bytes that dispatch and combine hold on a rank; 0 without MoE layers.
///   low_latency  2 * (send + receive + 4 E), send = receive = E T row, both for the larger of
///                row_dispatch = 16 + max(2 hidden, hidden + 4 hidden / 128)
///                row_combine  = 2 hidden + 4 hidden / 128      (E = num_experts, T =
///                tokens_per_rank)
///   others       sent and received rows of a balanced dispatch and combine, at most one copy an
///                assignment: 2 T min(top_k, ep) (dispatch row + combine row)
/// Source: DeepEP, low-latency layout of csrc/config.hpp (a message slot for every expert and
/// token, twice for double buffering). Valid for: E a multiple of 32 (alignment of its flags is
/// left out). Left out: NCCL's own channels (part of `reserved`). Checked by: memory_test
/// (published hint).
[[nodiscard]] Bytes communication_bytes(const MemoryModel& model);

/// Parameters of a rank that differ in how they are divided in training.
struct StageParameters {
  std::int64_t experts = 0;  ///< of all slots of the stage; the same ones on dp ranks
  std::int64_t others = 0;   ///< the same ones on dp * ep / tp ranks
};
[[nodiscard]] StageParameters stage_parameters(const MemoryModel& model, int stage);

/// Bytes of gradients and of optimiser states. P parameters whose copies lie on D ranks:
///   optimiser  12 P (fp32 weights, momentum, variance), over D from ZeRO stage 1 on
///   gradients  P * bytes of gradient_dtype, over D from stage 2 on
/// and weights over D with stage 3 (memory_bill). D = dp for experts, dp * ep / tp for the rest.
/// Source: ZeRO (Rajbhandari et al. 2020), section 3.1: mixed-precision Adam. Valid for: Adam;
/// every copy takes part. Left out: the gathered layers of stage 3. Checked by: memory_test.
struct TrainingState {
  Bytes gradients;
  Bytes optimiser;
};
[[nodiscard]] TrainingState training_state(const MemoryModel& model, int stage);

}  // namespace moesim
