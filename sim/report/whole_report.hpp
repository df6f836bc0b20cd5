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
  std::vector<std::string> faults;
  Evidence grade = Evidence::kAssumed;
  std::string evidence_source;
  std::string kind;  ///< "prefill" or "decode"
  std::string model;
  ParallelSpec parallel;
  BatchSpec batch;
  int gpus_per_node = 0;
  std::vector<WholeStepResult> steps;     ///< not empty
  std::optional<MoneyReport> money = {};  ///< with a price list
};

/// Tokens that all steps process over the time they take. A decode step yields one token a
/// sequence, so its mean time is the time per output token.
struct Throughput {
  double per_rank = 0;  ///< tokens/s
  double per_node = 0;
  double total = 0;
};
[[nodiscard]] Throughput throughput_of(const WholeReport& report);

[[nodiscard]] std::string whole_text(const WholeReport& report);
[[nodiscard]] std::string whole_json(const WholeReport& report);

}  // namespace moesim
