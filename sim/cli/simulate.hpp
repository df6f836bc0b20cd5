// SPDX-License-Identifier: Apache-2.0
// A scenario simulated to its report, for every command that needs one.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "sim/cli/pace_line.hpp"
#include "sim/report/run_report.hpp"
#include "sim/scenario/assemble.hpp"

namespace moesim::cli {

/// The files that a scenario was put together from and those of its data (a pack: its folder), with
/// their SHA-256.
[[nodiscard]] std::vector<InputDigest> digests(const Scenario& scenario, const Pace& pace = {});

struct SimulateControl {
  int threads = 0;                             ///< 0: all cores
  std::function<void(int, int)> on_step = {};  ///< done, total; may be empty
  bool without_faults = false;                 ///< with faults, simulate the whole cluster as well
  AssemblyCache* cache = nullptr;              ///< of parts shared with other runs; may be null
  const std::atomic<bool>* cancelled = nullptr;  ///< ends the run when set; null: interrupted()
  Pace pace = {};                  ///< of drawing and hashing; empty: ends them as `cancelled` does
  std::filesystem::path out = {};  ///< of the result: paths of the resolved scenario start there
  std::optional<std::vector<InputDigest>> inputs = {};  ///< if they are known already
};

/// control.pace, else what stands for it.
[[nodiscard]] Pace pace_of(const SimulateControl& control);

/// A report of the scenario without steps.
/// @param file  the scenario's name in the report
[[nodiscard]] RunReport report_head(const std::filesystem::path& file,
                                    const Scenario& scenario,
                                    const Assembly& assembly,
                                    const SimulateControl& control = {});

/// Throws Cancelled once `cancelled` is set.
[[nodiscard]] RunReport simulate(const std::filesystem::path& file,
                                 const Scenario& scenario,
                                 const SimulateControl& control);

/// --strict: every phase rests on a fit, and no input left its range. The gate has no fit of its
/// own and is let through. Throws UserError.
void refuse_outside(const StepEvidence& evidence);

}  // namespace moesim::cli
