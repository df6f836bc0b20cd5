// SPDX-License-Identifier: Apache-2.0
// `moesim capacity`: one scenario under many capacity factors, policies and scopes.
#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "sim/cli/capacity_grid.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/pace_line.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/capacity_report.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/scenario/resolved_file.hpp"

namespace moesim::cli {
namespace {

constexpr const char* kCapacityMark = "capacity.json";

struct CapacityOptions {
  ScenarioOptions scenario;
  GridOptions grid;
};

/// The policy that decides what the trace must offer; the sweep sets each point's own.
void require_candidates(Scenario& scenario, const CapacityGrid& grid) {
  for (const OverflowPolicy policy : grid.policies) {
    const bool stricter =
        policy == OverflowPolicy::kExpertChoice || !needs_candidates(scenario.capacity.policy);
    if (stricter && policy != OverflowPolicy::kReplica) {  // that one is the placement's matter
      scenario.capacity.policy = policy;
    }
  }
}

/// Without replicas, policy replica would be drop under another name.
void require_replicas(const CapacityGrid& grid, const std::vector<Placement>& placements) {
  const auto wanted =
      std::find(grid.policies.begin(), grid.policies.end(), OverflowPolicy::kReplica);
  const bool any = std::any_of(
      placements.begin(), placements.end(), [](const Placement& p) { return p.has_replicas(); });
  if (wanted != grid.policies.end() && !any) {
    throw UserError(
        "--policies replica: needs an expert with more than one slot; set placement.kind to eplb "
        "with placement.slots, or to file");
  }
}

void write(const std::filesystem::path& folder, const CapacityReport& report) {
  std::vector<ResultFile> files = {{kCapacityMark, capacity_json(report)},
                                   {"capacity.csv", capacity_csv(report)},
                                   {"capacity.svg", capacity_svg(report)},
                                   {"scenario.toml", report.run.resolved}};
  add_page(files, files.front().text);
  write_folder(folder, files);
}

CapacityReport sweep(const CapacityOptions& options) {
  watch_for_interrupt();
  if (!options.scenario.out.empty()) {
    check_result_folder(options.scenario.out, kCapacityMark);
  }
  Scenario scenario = load(options.scenario);
  const CapacityGrid grid = make_grid(options.grid, scenario);
  const std::string resolved = resolved_toml_in(options.scenario.out, scenario);
  require_candidates(scenario, grid);
  PaceLine routing("routing", !options.scenario.quiet);
  const Pace pace = routing.pace();
  const Assembly assembly = assemble(scenario, nullptr, pace);
  require_replicas(grid, assembly.step.placements);
  CapacityReport report;
  report.run = report_head(options.scenario.file, scenario, assembly, {.pace = pace});
  report.run.evidence.grade =
      scenario.calibration.evidence;  // of the constants; a sweep has no one run
  report.run.resolved = resolved;
  for (const std::string& note : grid_notes(grid)) {
    report.run.notes.push_back(note);
  }
  Progress progress("points", !options.scenario.quiet);
  report.sweep =
      sweep_capacity(assembly.step,
                     scenario.batch.steps,
                     grid,
                     {.threads = options.scenario.threads,
                      .cancelled = &interrupted(),
                      .on_progress = [&](int done, int total) { progress.update(done, total); }});
  return report;
}

void run(const CapacityOptions& options) {
  const CapacityReport report = sweep(options);
  const ScenarioOptions& to = options.scenario;
  if (!to.out.empty()) {
    write(to.out, report);
  }
  print(to.json ? capacity_json(report) : capacity_text(report));
  if (!to.out.empty() && !to.quiet) {
    print_error(results_line(to.out, kCapacityMark));
  }
  if (report.sweep.steps_done < report.sweep.steps) {
    throw Interrupted(fmt::format("interrupted; the report covers the first {} of {} steps",
                                  report.sweep.steps_done,
                                  report.sweep.steps));
  }
}

}  // namespace

void add_capacity_command(CLI::App& app) {
  auto options = std::make_shared<CapacityOptions>();
  CLI::App* command = app.add_subcommand(
      "capacity",
      "Sweep capacity factors, overflow policies and scopes: drops, cost, marginal price, knee");
  add_scenario_options(*command, options->scenario);
  command->get_option("--out")->description(
      "write report.html, capacity.json, capacity.csv and capacity.svg into this folder");
  command->add_option("--factors", options->grid.factors, "1,1.25,1.5 or first:last:step")
      ->type_name("LIST")
      ->capture_default_str();
  command
      ->add_option("--policies",
                   options->grid.policies,
                   "drop, spill, next_best, pad, expert_choice, replica; several with commas")
      ->type_name("LIST")
      ->capture_default_str();
  command
      ->add_option(
          "--scopes", options->grid.scopes, "rank, group, micro_batch, global; several with commas")
      ->type_name("LIST")
      ->capture_default_str();
  command->footer(
      "Example: moesim capacity scenarios/tinymoe_h200.toml --factors 1:3:0.25 --policies "
      "drop,spill "
      "--scopes rank,group --out out/capacity\n"
      "Policy none is always among the results. Ctrl-C reports the whole steps done so far.");
  command->callback([options] { run(*options); });
}

}  // namespace moesim::cli
