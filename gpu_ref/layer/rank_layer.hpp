// SPDX-License-Identifier: Apache-2.0
// One rank's MoE layer on one GPU, in the phases between which rows change ranks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/formats.hpp"
#include "gpu_ref/layer/rank_plan.hpp"
#include "gpu_ref/layer/stage_clock.hpp"
#include "gpu_ref/spec.hpp"

namespace moesim::gpu_ref {

/// Weights of one rank, on the device; read only, owned by the caller. H hidden, F expert_width,
/// S shared_width, E num_experts, L slots_per_rank.
struct RankWeights {
  Bf16* gate = nullptr;            ///< [E, H]
  float* gate_bias = nullptr;      ///< [E] or null; kSigmoidGroupTopK
  Bf16* gate_up = nullptr;         ///< [L, 2 F, H], local slots in order
  Bf16* down = nullptr;            ///< [L, H, F]
  Bf16* shared_gate_up = nullptr;  ///< [2 S, H] or null without a shared expert
  Bf16* shared_down = nullptr;     ///< [H, S] or null
};

/// Where a backward pass writes, on the device; every element is written.
struct RankGradients {
  Bf16* x = nullptr;               ///< [T, H]
  float* gate = nullptr;           ///< [E, H]
  Bf16* gate_up = nullptr;         ///< [L, 2 F, H]
  Bf16* down = nullptr;            ///< [L, H, F]
  Bf16* shared_gate_up = nullptr;  ///< [2 S, H]; may be null without a shared expert
  Bf16* shared_down = nullptr;     ///< [H, S]; may be null without a shared expert
};

/// A routing from outside (a route pack, a generator) of one rank's tokens, on the host. The gate
/// runs as well, so that its work is there; its choice is replaced, and gets no gradient through
/// weights.
struct GivenRouting {
  std::span<const std::int32_t> experts;  ///< [T, top_k], distinct within a token
  std::span<const float> weights;         ///< [T, top_k], or empty: 1 / top_k
};

/// The two losses of this rank's tokens.
struct GateLosses {
  float auxiliary = 0;
  float z = 0;
};

/// What changes ranks: rows of `row_bytes` from one buffer into the other.
struct Payload {
  const void* from = nullptr;
  void* to = nullptr;
  std::size_t row_bytes = 0;
};

enum class Transfer {
  kDispatch,          ///< tokens to experts: plan().sends -> plan().receives
  kCombine,           ///< experts to tokens: plan().receives -> plan().sends
  kCombineGradient,   ///< as kDispatch
  kDispatchGradient,  ///< as kCombine
};

/// Phases in order: choose, counts, plan, dispatch, [kDispatch], run_experts, [kCombine], combine;
/// then, in bf16, combine_backward, [kCombineGradient], experts_backward, [kDispatchGradient],
/// dispatch_backward. [..] is a transfer of payloads(), done by an Exchange. All work goes to the
/// stream of the constructor; x and the weights must stay until the pass is done. Buffers grow as
/// needed and are kept. A phase out of order throws std::logic_error.
class RankLayer {
 public:
  RankLayer(const LayerSpec& spec, int rank, const RankWeights& weights, StreamHandle stream);
  ~RankLayer();
  RankLayer(const RankLayer&) = delete;
  RankLayer& operator=(const RankLayer&) = delete;

  /// Stages are bracketed by the clock from now on; null: no more.
  void set_clock(StageClock* clock);
  [[nodiscard]] StageClock* clock() const;

  /// Gate, top-k, losses, and diversion of overflow (kNextBest). x [num_tokens, hidden] bf16.
  void choose(const Bf16* x, std::int64_t num_tokens);
  void choose(const Bf16* x, std::int64_t num_tokens, const GivenRouting& given);
  /// [num_experts] assignments before capacity (after diversion) on the device.
  [[nodiscard]] const std::int32_t* device_counts() const;
  /// The same on the host; waits for the stream.
  [[nodiscard]] std::vector<std::int32_t> counts();
  /// Sizes buffers and plans GEMMs for the counts of all ranks; waits for the stream.
  void plan(const CountMatrix& assignments);
  [[nodiscard]] const RankPlan& plan() const;

  void dispatch();
  void run_experts();
  /// out [num_tokens, hidden] bf16.
  void combine(Bf16* out);

  /// d_out [num_tokens, hidden] bf16, the gradient of `out`.
  void combine_backward(const Bf16* d_out);
  void experts_backward(const RankGradients& gradients);
  void dispatch_backward(const RankGradients& gradients);

  /// The buffers of a transfer; valid until the next plan().
  [[nodiscard]] std::vector<Payload> payloads(Transfer transfer) const;

  /// Of the last choose; waits for the stream.
  [[nodiscard]] GateLosses losses();
  /// Of the last pass, [num_tokens, top_k]; wait for the stream. Experts -1: dropped by diversion.
  [[nodiscard]] std::vector<std::int32_t> experts();
  [[nodiscard]] std::vector<float> weights();
  /// [num_tokens, top_k] row in send order, -1: dropped.
  [[nodiscard]] std::vector<std::int32_t> rows_of_assignments();

  [[nodiscard]] const LayerSpec& spec() const;
  [[nodiscard]] int rank() const;
  [[nodiscard]] StreamHandle stream() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace moesim::gpu_ref
