// SPDX-License-Identifier: Apache-2.0
// Results for a person at a terminal: tables of at most 80 columns.
#pragma once

#include <string>
#include <vector>

#include "sim/report/run_report.hpp"

namespace moesim {

/// Summary of a run: head, phases, critical path, capacity, hot spots, notes.
[[nodiscard]] std::string summary_text(const RunReport& report);

/// Where each microsecond of the layers goes: critical path per layer, then hot experts, ranks,
/// pairs and links of each (of `layer` alone when it is not negative).
[[nodiscard]] std::string explain_text(const RunReport& report, int layer);

/// What another placement changes in the same steps: makespan, imbalance and NIC bytes of each
/// layer in its slowest step, then its hot experts, ranks, pairs and links with that placement.
/// @param name  of the placement   @param layer  alone when it is not negative
[[nodiscard]] std::string changes_text(const RunReport& before,
                                       const RunReport& after,
                                       const std::string& name,
                                       int layer);
/// A line for each thing that was put together though recorded apart.
[[nodiscard]] std::string joins_text(const std::vector<std::string>& joins);

/// Lines that say where routing and constants come from.
[[nodiscard]] std::string provenance_text(const RunReport& report);

}  // namespace moesim
