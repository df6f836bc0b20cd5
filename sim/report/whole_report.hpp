// SPDX-License-Identifier: Apache-2.0
// Steps of a whole model as text and JSON, with the throughput they mean.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/report/money_report.hpp"
#include "sim/report/run_report.hpp"
#include "sim/step/whole_step.hpp"

namespace moesim {

struct WholeReport {
  std::string version;
  std::string scenario;
  std::string resolved;
  std::uint64_t seed = 0;
  std::vector<InputDigest> inputs;
  std::vector<std::string> notes;
  std::vector<std::string> joins;
  std::vector<std::string> faults;
  Evidence grade = Evidence::kAssumed;
  std::string evidence_source;
  std::string kind;  ///< "prefill", "decode" or "train"
  std::string overlap;
  std::string model;
  ParallelSpec parallel;
  BatchSpec batch;
  int gpus_per_node = 0;
  std::int64_t gpus = 0;                  ///< that work: ep, in training ep * pp * dp
  Flops step_flops;                       ///< that the model needs a step, over all ranks
  FlopsPerSecond peak;                    ///< dense bf16 rate of a GPU
  std::vector<WholeStepResult> steps;     ///< not empty
  std::optional<MoneyReport> money = {};  ///< with a price list
};

/// Tokens that all steps process over the time they take. A decode step yields one token a
/// sequence, so its mean time is the time per output token. A step processes tokens_per_rank *
/// micro_batches on each of ep * dp ranks.
struct Throughput {
  double per_rank = 0;  ///< tokens/s, of a GPU
  double per_node = 0;
  double total = 0;
  double flops_per_gpu = 0;  ///< that the model needs, per second
  double mfu = 0;            ///< of the dense bf16 peak, whatever the dtypes
};
[[nodiscard]] Throughput throughput_of(const WholeReport& report);

/// Seconds a step, mean: communication on the critical path (in training on all stages), all
/// dispatches, combines and TP exchanges of a rank, and what the pipeline's schedule leaves idle.
struct StepShares {
  double exposed_s = 0;
  double communication_s = 0;
  double bubble_s = 0;
};
[[nodiscard]] StepShares shares_of(const WholeReport& report);

[[nodiscard]] std::string whole_text(const WholeReport& report);
[[nodiscard]] std::string whole_json(const WholeReport& report);

}  // namespace moesim
