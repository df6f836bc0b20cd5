// SPDX-License-Identifier: Apache-2.0
// One point of a sweep: its key, and its report with the metrics taken out of it.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "sim/cli/simulate.hpp"
#include "sim/scenario/assembly_cache.hpp"
#include "sim/study/result_store.hpp"

namespace moesim::cli {

/// Points share clusters, routings and the digests of their data files. From any thread.
class PointSimulator {
 public:
  /// SHA-256 of what decides the report: version, resolved scenario, data files.
  [[nodiscard]] std::string key(const Scenario& scenario);
  /// The report of `moesim run --json`, with `model` and, of a whole model, `memory`. The files
  /// that the scenario was put together from are not in it: points that resolve to the same
  /// scenario have the same report. A UserError is a refusal. Throws Cancelled.
  [[nodiscard]] Evaluation evaluate(const Scenario& scenario,
                                    const std::vector<std::string>& metrics);

 private:
  [[nodiscard]] std::vector<InputDigest> data_digests(const Scenario& scenario);
  [[nodiscard]] std::string report(const Scenario& scenario);

  AssemblyCache cache_;
  std::mutex mutex_;
  std::map<std::string, std::string> digests_;
};

/// What a study shows that names no metrics itself, for the kinds of steps of its scenarios.
using StepKinds = std::set<StepKind>;
[[nodiscard]] std::vector<std::string> default_metrics(const StepKinds& kinds);

}  // namespace moesim::cli
