// SPDX-License-Identifier: Apache-2.0
// From one placement to another: which rank sends experts to which, and what that costs.
#pragma once

#include <cstdint>
#include <span>

#include "sim/moe/dispatch.hpp"
#include "sim/moe/domains.hpp"
#include "sim/moe/placement.hpp"
#include "sim/step/step.hpp"

namespace moesim {

/// What is sent so that every slot holds the expert it is to hold.
struct Migration {
  TrafficMatrix bytes = TrafficMatrix(0);
  std::int64_t experts_sent = 0;  ///< copies of an expert of a layer that change their rank
  std::int64_t scale_out_bytes = 0;

  [[nodiscard]] std::int64_t total_bytes() const;
};

/// A rank that is to hold an expert of a layer and holds it already gets nothing; else a holder
/// sends one copy: of those in its scale-up domain, else of all, the one that has sent least so
/// far, of equal ones the first. Layers, then slots, in order.
/// Source: ours; engines send from one fixed holder. Left out: sends that reorder to free memory.
/// Checked by: migration_test. @pre as many layers, experts and ranks
[[nodiscard]] Migration plan_migration(std::span<const Placement> before,
                                       std::span<const Placement> after,
                                       const Domains& domains,
                                       Bytes expert_bytes);

/// Stall of a pause: one kernel start, then all of it at once with nothing else on the links; 0
/// when nothing is sent. Runs on the model's cluster with its engine. Checked by: migration_test.
[[nodiscard]] Seconds pause_of(const StepModel& model, const Migration& migration);

/// What a migration costs beside a step: `steps` equal parts of every pair's bytes, each from the
/// start of a step on, sharing the links with its layers max-min fairly.
///   stall = steps * (end of step and part together - step without it)
/// The next step waits for the part. All steps are taken to be as `step`. 0 when nothing is sent.
/// Source: ours, after TensorRT-LLM's layer_updates_per_iter. Left out: parts by layer (the mean
/// part stands for all), copies inside a GPU. Checked by: migration_test.
[[nodiscard]] Seconds stall_beside(const StepModel& model,
                                   const Migration& migration,
                                   int steps,
                                   int step);

/// Weights of one routed expert, biases included. Checked by: model_test.
[[nodiscard]] Bytes routed_expert_bytes(const ModelShape& model);

/// Keys and values of one token over all layers of the model in bf16: gqa 2 * kv_heads * head_dim,
/// mla kv_lora_rank + rope_dim elements a layer. Source: DeepSeek-V2, section 2.1.
/// Valid for: attention that is not split over the ranks. Checked by: migration_test.
[[nodiscard]] Bytes kv_bytes_per_token(const ModelShape& model);

}  // namespace moesim
