// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/simulate.hpp"

#include "sim/cli/console.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {

std::vector<InputDigest> digests(const Scenario& scenario) {
  std::vector<InputDigest> inputs;
  for (const std::filesystem::path& path : scenario.inputs) {
    inputs.push_back({path.string(), sha256_hex(path)});
  }
  return inputs;
}

RunReport report_head(const std::filesystem::path& file,
                      const Scenario& scenario,
                      const Assembly& assembly) {
  RunReport report;
  report.version = MOESIM_VERSION;
  report.scenario = file.string();
  report.resolved = resolved_toml(scenario);
  report.seed = scenario.seed;
  report.inputs = digests(scenario);
  report.notes = assembly.notes;
  report.faults = assembly.faults;
  report.evidence_source = scenario.calibration.source;
  report.routing = assembly.routing->info();
  const std::vector<BytesPerSecond> rates =
      effective_capacities(assembly.step.cluster, scenario.calibration);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    report.link_names.push_back(assembly.step.cluster.link_name(id_at<LinkId>(i)));
    report.link_rates.push_back(rates[i].value);
  }
  return report;
}

RunReport simulate(const std::filesystem::path& file,
                   const Scenario& scenario,
                   const SimulateControl& control) {
  const Assembly assembly = assemble(scenario);
  RunReport report = report_head(file, scenario, assembly);
  report.steps = replay(
      assembly.step,
      scenario.batch.steps,
      {.threads = control.threads, .cancelled = &interrupted(), .on_progress = control.on_step});
  if (interrupted()) {  // during the last step
    throw Cancelled();
  }
  report.evidence = judge(assembly.step, report.steps);
  return report;
}

}  // namespace moesim::cli
