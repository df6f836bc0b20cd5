// SPDX-License-Identifier: Apache-2.0
// Predictions beside measurements that others made: the cases, and how far off each tier is. What
// runs a scenario lives in the program (sim/cli/validate_command.cpp).
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/moe/expert_cost.hpp"
#include "sim/moe/traces/csv.hpp"

namespace moesim::calibrate {

/// One row of a file of cases. Columns: case, tier, scenario, set, quantity, measured, unit,
/// source.
struct ValidationCase {
  std::string name;  ///< differs from all others of the file
  std::string tier;  ///< errors are summed up by it: "fitted deepep_normal", "unseen nccl", ...
  std::filesystem::path scenario;      ///< relative paths start at the file of cases
  std::vector<std::string> overrides;  ///< column set, split at ";"
  std::string quantity;                ///< path of keys into the JSON report: "summary.step_s.mean"
  double measured = 0;                 ///< in `unit`, > 0
  std::string unit;
  double unit_size = 1;        ///< SI units in one `unit`; percent: 0.01
  std::string source;          ///< who measured it, where it was published
  std::filesystem::path file;  ///< of cases
  int line = 0;

  /// Throws UserError "file:line:1: error: message".
  [[noreturn]] void refuse(std::string message) const;
};

/// Reads and checks every row. The last key of a quantity decides which units fit: _s a time,
/// _bytes a size, _bytes_per_s a rate of bytes; one with _per_s in it, as tokens_per_s_per_node,
/// takes "1/s", any other "1" or "%". Throws UserError with the place
/// of the first row that does not fit.
[[nodiscard]] std::vector<ValidationCase> read_cases(const traces::CsvTable& table);

/// The number at a dotted path of a JSON report; list elements by index from 0.
/// Throws UserError that names the deepest key that exists and what lies under it.
[[nodiscard]] double quantity_of(const nlohmann::ordered_json& report, const ValidationCase& of);

/// A case and what the simulator says of it.
struct ValidationResult {
  ValidationCase of;
  double predicted = 0;  ///< in the case's unit
  std::string grade;     ///< evidence of the run

  /// predicted / measured - 1
  [[nodiscard]] double error() const { return predicted / of.measured - 1; }
};

/// Errors of the cases of one tier, tiers in order of their first case.
struct TierErrors {
  std::string tier;
  FitErrors errors;
};
[[nodiscard]] std::vector<TierErrors> errors_by_tier(std::span<const ValidationResult> results);

}  // namespace moesim::calibrate
