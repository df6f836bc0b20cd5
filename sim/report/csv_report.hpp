// SPDX-License-Identifier: Apache-2.0
// Results as CSV: one row a fact, a unit in every column name.
#pragma once

#include <string>

#include "sim/report/run_report.hpp"

namespace moesim {

/// One row for the run: times (phases: sum over layers of the slowest rank), imbalance, drops, and
/// the hot spots of the slowest layer.
[[nodiscard]] std::string summary_csv(const RunReport& report);
/// One row per (step, layer): phase times, attribution, loads, drops, bytes.
[[nodiscard]] std::string layers_csv(const RunReport& report);
/// One row per (step, layer, expert): routed assignments.
[[nodiscard]] std::string experts_csv(const RunReport& report);
/// One row per (step, layer, rank): accepted assignments.
[[nodiscard]] std::string ranks_csv(const RunReport& report);
/// One row per (step, link) that carried bytes.
[[nodiscard]] std::string links_csv(const RunReport& report);
/// Traffic between ranks, summed over steps and layers (PairLoad).
[[nodiscard]] std::string pairs_csv(const RunReport& report);

}  // namespace moesim
