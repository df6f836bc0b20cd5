// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/report_head.hpp"

#include "sim/scenario/digest.hpp"

namespace moesim::cli {

RunReport report_head(const ScenarioOptions& options,
                      const Scenario& scenario,
                      const Assembly& assembly) {
  RunReport report;
  report.version = MOESIM_VERSION;
  report.scenario = options.file.string();
  report.resolved = resolved_toml(scenario);
  report.seed = scenario.seed;
  for (const std::filesystem::path& path : scenario.inputs) {
    report.inputs.push_back({path.string(), sha256_hex(path)});
  }
  report.notes = assembly.notes;
  report.faults = assembly.faults;
  report.evidence = std::string(to_text(scenario.calibration.evidence));
  report.evidence_source = scenario.calibration.source;
  report.routing = assembly.routing->info();
  return report;
}

}  // namespace moesim::cli
