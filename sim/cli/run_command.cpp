// SPDX-License-Identifier: Apache-2.0
// `moesim run` and `moesim explain`: simulate, then show the result in two ways.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/json_report.hpp"
#include "sim/report/text_report.hpp"

namespace moesim::cli {
namespace {

RunReport simulate_scenario(const ScenarioOptions& options) {
  watch_for_interrupt();
  if (!options.out.empty()) {
    check_result_folder(options.out);
  }
  const Scenario scenario = load(options);
  Progress progress("steps", !options.quiet);
  return simulate(
      options.file, scenario, {.threads = options.threads, .on_step = [&](int done, int total) {
                                 progress.update(done, total);
                               }});
}

void finish(const ScenarioOptions& options, const RunReport& report, const std::string& text) {
  if (!options.out.empty()) {
    write_results(options.out, report);
  }
  print(options.json ? to_json(report) : text);
  if (!options.out.empty() && !options.quiet) {
    print_error(fmt::format("results: {}\n", (options.out / "report.json").string()));
  }
}

}  // namespace

void add_run_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  CLI::App* command = app.add_subcommand(
      "run", "Simulate a scenario: phase times, critical path, imbalance, drops, hot spots");
  add_scenario_options(*command, *options);
  command->footer(
      "Example: moesim run scenarios/tinymoe_h200.toml --set capacity.policy=drop "
      "--set capacity.factor=1.25 --out out/demo");
  command->callback([options] {
    const RunReport report = simulate_scenario(*options);
    finish(*options, report, summary_text(report));
  });
}

void add_explain_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  auto layer = std::make_shared<int>(-1);
  CLI::App* command = app.add_subcommand(
      "explain", "Where each microsecond of a layer goes; hot experts, ranks, pairs and links");
  add_scenario_options(*command, *options);
  command->add_option("--layer", *layer, "only this MoE layer, counted from 0")
      ->type_name("N")
      ->check(CLI::Range(0, 99'999));
  command->footer("Example: moesim explain scenarios/tinymoe_h200.toml --layer 3");
  command->callback([options, layer] {
    const RunReport report = simulate_scenario(*options);
    const auto layers = static_cast<int>(report.steps.front().layers.size());
    if (*layer >= layers) {
      throw UserError(
          fmt::format("--layer {}: the scenario has MoE layers 0 to {}", *layer, layers - 1));
    }
    finish(*options, report, explain_text(report, *layer));
  });
}

}  // namespace moesim::cli
