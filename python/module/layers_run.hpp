// SPDX-License-Identifier: Apache-2.0
// A simulated run of MoE layers with its numbers as arrays.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/report/run_report.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim::python {

/// Numbers in C order with their extents.
template <typename Number>
struct Table {
  std::vector<std::int64_t> extents;
  std::vector<Number> values;
};

/// A report and its numbers of every step, laid side by side once so that NumPy can look at them
/// where they lie. S steps, L layers.
struct LayersRun {
  LayersRun(Scenario simulated, RunReport made);

  Scenario scenario;
  RunReport report;
  Table<double> step_s;             ///< [S] makespan
  Table<double> layer_s;            ///< [S, L] makespan
  Table<double> path_s;             ///< [S, L, part] critical path of a layer, by part_names()
  Table<double> phase_mean_s;       ///< [S, L, 4] over ranks: gate, dispatch, experts, combine
  Table<double> phase_max_s;        ///< [S, L, 4]
  Table<std::int64_t> expert_load;  ///< [S, L, expert] routed assignments
  Table<std::int64_t> rank_load;    ///< [S, L, rank] accepted assignments
  Table<std::int64_t> link_bytes;   ///< [S, link]
  Table<std::int64_t> traffic;      ///< [S, cell, cell] dispatch bytes between ranks, by source
  Table<double> link_rate;          ///< [link] effective bytes/s
};

[[nodiscard]] std::vector<std::string> part_names();

/// Writes what `moesim run --out FOLDER` writes.
void save(const LayersRun& run, const std::string& folder);

/// The table of `moesim run --out` that this is the name of: summary, layers, experts, ranks, links
/// or pairs; "" for another name.
[[nodiscard]] std::string csv_of(const RunReport& report, const std::string& table);

}  // namespace moesim::python
