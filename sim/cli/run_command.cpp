// SPDX-License-Identifier: Apache-2.0
// `moesim run` and `moesim explain`: simulate, then show the result in two ways.
#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <filesystem>
#include <memory>
#include <string>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/gpu_backend.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/pace_line.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/run_folder.hpp"
#include "sim/cli/serving_run.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/cli/whole_run.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/json_report.hpp"
#include "sim/report/text_report.hpp"
#include "sim/scenario/assemble.hpp"

namespace moesim::cli {
namespace {

/// @param map  an engine's placement file that replaces the scenario's placement; "" for none
RunReport simulate_scenario(const ScenarioOptions& options, const std::string& map = "") {
  watch_for_interrupt();
  if (!options.out.empty()) {
    check_result_folder(options.out);
  }
  Scenario scenario = load(options);
  if (!map.empty()) {
    scenario.placement = {
        .kind = PlacementKind::kFile, .file = map, .replicas = scenario.placement.replicas};
  }
  Progress progress("steps", !options.quiet);
  const auto on_step = [&](int done, int total) { progress.update(done, total); };
  PaceLine routing("routing", !options.quiet);
  RunReport report = simulate(options.file,
                              scenario,
                              {.threads = options.threads,
                               .on_step = on_step,
                               .without_faults = true,
                               .pace = routing.pace(),
                               .out = options.out});
  if (options.strict) {
    refuse_outside(report.evidence);
  }
  return report;
}

GpuReport measure_on(measure::LayerMeter& meter, const ScenarioOptions& options) {
  watch_for_interrupt();
  if (!options.out.empty()) {
    check_result_folder(options.out);
  }
  const Scenario scenario = load(options);
  const Assembly assembly = assemble(scenario);
  Progress progress("layers on the GPU", !options.quiet);
  return measure_scenario(assembly.step,
                          scenario.batch.steps,
                          report_head(options.file, scenario, assembly, {.out = options.out}),
                          meter,
                          {.cancelled = &interrupted(), .on_progress = [&](int done, int total) {
                             progress.update(done, total);
                           }});
}

void say_where(const ScenarioOptions& options) {
  if (!options.out.empty() && !options.quiet) {
    print_error(results_line(options.out, "report.json"));
  }
}

void finish(const ScenarioOptions& options,
            const RunReport& report,
            const std::string& text,
            bool timeline = false) {
  if (!options.out.empty()) {
    write_run(options.out, load(options), report, {.timeline = timeline, .quiet = options.quiet});
  }
  print(options.json ? to_json(report) : text);
  say_where(options);
}

void check_timeline(const ScenarioOptions& options, const std::string& backend) {
  if (options.out.empty()) {
    throw UserError("--timeline: needs --out DIR, the folder that timeline.json.gz goes to");
  }
  if (backend != "sim") {
    throw UserError("--timeline: only for simulations (--backend sim)");
  }
  const Scenario scenario = load(options);
  if (scenario.step.kind != StepKind::kTrain && scenario.parallel.pp > 1) {
    throw UserError(
        "--timeline: not of pipelines of prefill or decode, whose stages are simulated one by one");
  }
}

void run_on_gpu(const ScenarioOptions& options) {
  const std::unique_ptr<measure::LayerMeter> meter = measure::open_layer_meter();
  const GpuReport report = measure_on(*meter, options);
  if (!options.out.empty()) {
    write_gpu_results(options.out, report);
  }
  print(options.json ? gpu_json(report) : gpu_text(report));
  say_where(options);
}

void run_on_both(const ScenarioOptions& options) {
  const std::unique_ptr<measure::LayerMeter> meter = measure::open_layer_meter();
  const RunReport simulated = simulate_scenario(options);
  const GpuReport measured = measure_on(*meter, options);
  if (!options.out.empty()) {
    write_comparison(options.out, simulated, measured);
  }
  print(options.json ? comparison_json(simulated, measured) : comparison_text(simulated, measured));
  say_where(options);
}

void run_on(const std::string& backend, const ScenarioOptions& options, bool timeline) {
  if (timeline) {
    check_timeline(options, backend);
  }
  const StepKind kind = backend == "sim" ? load(options).step.kind : StepKind::kMoeLayers;
  if (kind == StepKind::kServing) {
    run_serving(options, timeline);
  } else if (kind != StepKind::kMoeLayers) {
    run_whole(options, timeline);
  } else if (backend == "gpu") {
    run_on_gpu(options);
  } else if (backend == "both") {
    run_on_both(options);
  } else {
    const RunReport report = simulate_scenario(options);
    finish(options, report, summary_text(report), timeline);
  }
}

void explain(const ScenarioOptions& options, int layer, const std::string& map) {
  const RunReport report = simulate_scenario(options);
  const auto layers = static_cast<int>(report.steps.front().layers.size());
  if (layer >= layers) {
    throw UserError(
        fmt::format("--layer {}: the scenario has MoE layers 0 to {}", layer, layers - 1));
  }
  if (map.empty()) {
    finish(options, report, explain_text(report, layer));
    return;
  }
  const RunReport with_map = simulate_scenario(options, map);
  print(options.json
            ? fmt::format("{{\"before\": {}, \"after\": {}}}\n", to_json(report), to_json(with_map))
            : explain_text(report, layer) +
                  changes_text(
                      report, with_map, std::filesystem::path(map).filename().string(), layer));
}

}  // namespace

void add_run_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  auto backend = std::make_shared<std::string>("sim");
  auto timeline = std::make_shared<bool>(false);
  CLI::App* command =
      app.add_subcommand("run",
                         "Simulate MoE layers, a whole model or requests over time: phase times, "
                         "critical path, imbalance, drops, hot spots");
  add_scenario_options(*command, *options);
  add_strict_option(*command, *options);
  command
      ->add_option(
          "--backend", *backend, "sim, gpu (the layers on the attached GPUs) or both, side by side")
      ->check(CLI::IsMember({"sim", "gpu", "both"}))
      ->capture_default_str();
  command->add_flag("--timeline",
                    *timeline,
                    "also write timeline.json.gz into the --out folder, for ui.perfetto.dev: the "
                    "slowest step, or requests over time");
  command->footer(
      "Example: moesim run scenarios/tinymoe_h200.toml --set capacity.policy=drop "
      "--set capacity.factor=1.25 --out out/demo");
  command->callback([options, backend, timeline] { run_on(*backend, *options, *timeline); });
}

void add_explain_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  auto layer = std::make_shared<int>(-1);
  auto map = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "explain", "Where each microsecond of a layer goes; hot experts, ranks, pairs and links");
  add_scenario_options(*command, *options);
  add_strict_option(*command, *options);
  command->add_option("--layer", *layer, "only this MoE layer, counted from 0")
      ->type_name("N")
      ->check(CLI::Range(0, 99'999));
  CLI::Option* with = command
                          ->add_option("--map",
                                       *map,
                                       "an engine's placement file: also what it changes, layer by "
                                       "layer, beside the scenario's own placement")
                          ->type_name("FILE");
  with->excludes(command->get_option("--out"));
  command->footer(
      "Example: moesim explain scenarios/tinymoe_h200.toml --layer 3\n"
      "After moesim place --out out/place: --map out/place/optimised.sglang.json");
  command->callback([options, layer, map] { explain(*options, *layer, *map); });
}

}  // namespace moesim::cli
