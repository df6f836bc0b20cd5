// SPDX-License-Identifier: Apache-2.0
// What the network allows and what faults cost, for a person at a terminal.
#pragma once

#include <string>

#include "sim/report/run_report.hpp"

namespace moesim {

/// The dispatch and combine of the slowest layer beside what no schedule beats.
[[nodiscard]] std::string limits_line(const LayerResult& layer);

/// The same for each layer in its slowest step (`layer` alone when it is not negative).
[[nodiscard]] std::string limits_table(const RunSummary& run, int layer);

/// "faults cost 12.5 %: ..."; "" without faults.
[[nodiscard]] std::string fault_line(const RunReport& report, const RunSummary& run);

/// Each layer with and without the faults, means over steps; "" without faults.
[[nodiscard]] std::string fault_table(const RunReport& report, const RunSummary& run, int layer);

}  // namespace moesim
