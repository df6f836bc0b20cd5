// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/whole_run.hpp"

#include <fmt/core.h>

#include "sim/cli/console.hpp"
#include "sim/cli/pace_line.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/cli/timeline_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/whole_report.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/resolved_file.hpp"
#include "sim/step/model_flops.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {

Evidence whole_grade(const CostConstants& c) {
  const bool fitted = c.expert_fit.is_fitted() && c.communication_fit.is_fitted();
  return fitted ? Evidence::kExtrapolated : std::max(Evidence::kExtrapolated, c.evidence);
}

WholeModel whole_model(const Scenario& scenario, StepModel step) {
  return {.step = std::move(step),
          .kind = scenario.step.kind,
          .parallel = scenario.parallel,
          .batch = scenario.batch,
          .kv_dtype = scenario.memory.kv_dtype,
          .overlap = scenario.step.overlap,
          .training = {.recompute = scenario.memory.recompute,
                       .zero_stage = scenario.memory.zero_stage,
                       .gradient_dtype = scenario.memory.gradient_dtype,
                       .overlap_gradients = scenario.step.overlap_gradients,
                       .samples = scenario.step.samples,
                       .schedule = scenario.step.schedule},
          .host_layer = scenario.step.host_layer};
}

WholeReport simulate_whole(const std::filesystem::path& file,
                           const Scenario& scenario,
                           const SimulateControl& control) {
  Assembly assembly = assemble_whole(scenario, control.cache, pace_of(control));
  WholeReport report;
  report.version = MOESIM_VERSION;
  report.scenario = file.string();
  report.resolved = resolved_toml_in(control.out, scenario);
  report.seed = scenario.seed;
  report.inputs = control.inputs ? *control.inputs : digests(scenario, pace_of(control));
  report.notes = assembly.notes;
  report.joins = assembly.joins;
  report.faults = assembly.faults;
  report.grade = whole_grade(scenario.calibration);
  report.evidence_source = scenario.calibration.source;
  report.kind = step_kind_words()[static_cast<std::size_t>(scenario.step.kind)];
  report.overlap = overlap_words()[static_cast<std::size_t>(scenario.step.overlap)];
  report.model = scenario.model.name;
  report.parallel = scenario.parallel;
  report.batch = scenario.batch;
  report.gpus_per_node = scenario.cluster.gpus_per_node;
  if (scenario.price.is_stated()) {
    report.money = money_report(scenario.price, assembly.step.cluster, scenario.parallel.gpus());
  }
  const WholeModel whole = whole_model(scenario, std::move(assembly.step));
  report.gpus = whole.parallel.gpus();
  report.step_flops = step_flops(whole);
  report.peak = whole.step.cluster.gpu.bf16_rate;
  report.steps = replay_whole(
      whole,
      scenario.batch.steps,
      {.threads = control.threads, .cancelled = &interrupted(), .on_progress = control.on_step});
  if (interrupted()) {
    throw Cancelled();
  }
  return report;
}

namespace {

/// Of the slowest step.
void write_whole_timeline(const std::filesystem::path& file,
                          const Scenario& scenario,
                          const WholeReport& report,
                          const ScenarioOptions& options) {
  if (scenario.step.kind != StepKind::kTrain) {
    write_timeline_file(file, trace_slowest(scenario, report));
    return;
  }
  Progress progress("passes of the timeline", !options.quiet);
  const auto on_pass = [&](int done, int total) { progress.update(done, total); };
  write_train_timeline_file(
      file,
      scenario,
      report,
      {.threads = options.threads, .cancelled = &interrupted(), .on_progress = on_pass});
}

}  // namespace

void run_whole(const ScenarioOptions& options, bool timeline) {
  watch_for_interrupt();
  if (options.strict) {
    throw UserError(
        "--strict: attention, dense layers and head of a whole model rest on no fit of their own");
  }
  if (!options.out.empty()) {
    check_result_folder(options.out);
  }
  const Scenario scenario = load(options);
  const bool trains = scenario.step.kind == StepKind::kTrain;
  Progress progress(trains ? "passes" : "steps", !options.quiet);
  const auto on_step = [&](int done, int total) { progress.update(done, total); };
  PaceLine routing("routing", !options.quiet);
  const WholeReport report = simulate_whole(
      options.file,
      scenario,
      {.threads = options.threads, .on_step = on_step, .pace = routing.pace(), .out = options.out});
  if (!options.out.empty()) {
    std::vector<ResultFile> files = {{"report.json", whole_json(report)},
                                     {"scenario.toml", report.resolved}};
    add_page(files, files.front().text);
    write_folder(options.out, files, [&](const std::filesystem::path& folder) {
      if (timeline) {
        write_whole_timeline(folder / "timeline.json.gz", scenario, report, options);
      }
    });
  }
  print(options.json ? whole_json(report) : whole_text(report));
  if (!options.out.empty() && !options.quiet) {
    print_error(results_line(options.out, "report.json"));
  }
}

}  // namespace moesim::cli
