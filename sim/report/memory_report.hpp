// SPDX-License-Identifier: Apache-2.0
// The memory bill of a scenario as text and JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/report/run_report.hpp"
#include "sim/step/memory.hpp"

namespace moesim {

struct MemoryReport {
  std::string version;
  std::string scenario;
  std::string resolved;
  std::vector<InputDigest> inputs;
  std::string kind;  ///< "prefill", "decode", "train"
  std::string gpu;
  MemoryModel model;
  std::vector<MemoryBill> stages;           ///< one a pipeline stage
  std::size_t largest = 0;                  ///< index of the stage that holds most
  std::optional<std::int64_t> most_tokens;  ///< a rank; none: not one sequence fits
  std::optional<std::int64_t> most_context;

  [[nodiscard]] bool fits() const { return stages[largest].total() <= model.capacity; }
};

/// Every stage's bill, and what would fit.
[[nodiscard]] MemoryReport memory_report(const MemoryModel& model);

[[nodiscard]] std::string memory_text(const MemoryReport& report);
[[nodiscard]] std::string memory_json(const MemoryReport& report);

/// The fullest rank's bill, as a part of another report: total_bytes, gpu_memory_bytes, parts.
[[nodiscard]] nlohmann::ordered_json memory_summary(const MemoryReport& report);

}  // namespace moesim
