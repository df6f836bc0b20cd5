// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/simulate.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "sim/cli/console.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/scenario/resolved_file.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {

std::vector<InputDigest> digests(const Scenario& scenario, const Pace& pace) {
  std::vector<std::filesystem::path> files = scenario.inputs;
  for (std::filesystem::path& file : data_files(scenario)) {
    if (std::find(files.begin(), files.end(), file) == files.end()) {
      files.push_back(std::move(file));
    }
  }
  std::vector<InputDigest> inputs;
  inputs.reserve(files.size());
  for (const std::filesystem::path& path : files) {
    inputs.push_back({path.string(), sha256_hex(path, pace)});
  }
  return inputs;
}

Pace pace_of(const SimulateControl& control) {
  if (control.pace) {
    return control.pace;
  }
  return control.cancelled != nullptr ? end_when(*control.cancelled) : end_when_interrupted();
}

RunReport report_head(const std::filesystem::path& file,
                      const Scenario& scenario,
                      const Assembly& assembly,
                      const SimulateControl& control) {
  RunReport report;
  report.version = MOESIM_VERSION;
  report.scenario = file.string();
  report.resolved = resolved_toml_in(control.out, scenario);
  report.seed = scenario.seed;
  report.inputs = control.inputs ? *control.inputs : digests(scenario, pace_of(control));
  report.notes = assembly.notes;
  report.joins = assembly.joins;
  report.faults = assembly.faults;
  report.evidence_source = scenario.calibration.source;
  report.routing = assembly.routing->info();
  const std::vector<BytesPerSecond> rates =
      effective_capacities(assembly.step.cluster, scenario.calibration);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    report.link_names.push_back(assembly.step.cluster.link_name(id_at<LinkId>(i)));
    report.link_rates.push_back(rates[i].value);
  }
  report.fabric = fabric_view(assembly.step.cluster);
  return report;
}

RunReport simulate(const std::filesystem::path& file,
                   const Scenario& scenario,
                   const SimulateControl& control) {
  const Pace pace = pace_of(control);
  const Assembly assembly = assemble(scenario, control.cache, pace);
  RunReport report = report_head(file, scenario, assembly, control);
  const bool twice = control.without_faults && !scenario.faults.empty();
  const int steps = scenario.batch.steps;
  const std::atomic<bool>& cancelled = control.cancelled ? *control.cancelled : interrupted();
  const auto run = [&](const StepModel& model, int done_before) {
    const auto on_progress = [&](int done, int) {
      if (control.on_step) {
        control.on_step(done_before + done, twice ? 2 * steps : steps);
      }
    };
    return replay(
        model,
        steps,
        {.threads = control.threads, .cancelled = &cancelled, .on_progress = on_progress});
  };
  report.steps = run(assembly.step, 0);
  if (twice) {
    Scenario whole = scenario;
    whole.faults = {};
    report.without_faults = without_faults(run(assemble(whole, nullptr, pace).step, steps));
  }
  if (cancelled) {  // during the last step
    throw Cancelled();
  }
  const auto repeated = std::count_if(report.steps.begin(),
                                      report.steps.end(),
                                      [](const StepResult& step) { return step.repeats >= 0; });
  if (repeated > 0) {
    report.notes.push_back(
        fmt::format("{} of {} steps repeat the routing of an earlier one; each kind was simulated "
                    "once",
                    repeated,
                    report.steps.size()));
  }
  report.evidence = judge(assembly.step, report.steps);
  return report;
}

void refuse_outside(const StepEvidence& evidence) {
  std::vector<Diagnostic> mistakes;
  const auto refuse = [&](const std::string& sentence) {
    Diagnostic mistake;
    mistake.key = "--strict";
    mistake.message = sentence;
    mistakes.push_back(std::move(mistake));
  };
  for (const PhaseEvidence& phase : evidence.phases) {
    if (phase.phase != "gate" && !phase.band && phase.grade == Evidence::kAssumed) {
      refuse(phase.phase + ": constants are assumed, not fitted to measurements");
    }
    for (const std::string& sentence : phase.out) {
      refuse(sentence);
    }
  }
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
}

}  // namespace moesim::cli
