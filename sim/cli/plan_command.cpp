// SPDX-License-Identifier: Apache-2.0
// `moesim plan`: which clusters and layouts are worth having under limits.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <tbb/global_control.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/planner.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/report/page.hpp"

namespace moesim::cli {
namespace {

constexpr const char* kPlanMark = "plan.json";

struct PlanOptions {
  std::filesystem::path file;
  std::vector<std::string> overrides;
  std::optional<std::uint64_t> seed;
  std::string method;
  int threads = 0;
  bool json = false;
  bool quiet = false;
  std::filesystem::path out;
};

PlanReport plan_report(const PlanOptions& options) {
  std::optional<tbb::global_control> limit;  // loading and sensitivity are parallel as well
  if (options.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(options.threads));
  }
  PlanFile plan = read_plan(options.file);
  if (!options.method.empty()) {
    const auto* const found =
        std::find(std::begin(kPlanMethods), std::end(kPlanMethods), options.method);
    plan.search.method = static_cast<PlanMethod>(found - std::begin(kPlanMethods));
  }
  PlannerControl control{
      .overrides = options.overrides, .threads = options.threads, .quiet = options.quiet};
  if (options.seed) {
    control.overrides.push_back(fmt::format("seed={}", *options.seed));
  }
  const PlanResult result = run_plan(plan, control);
  PlanReport report = describe_plan(plan, result);
  if (!report.interrupted && !report.front.empty()) {
    examine_choice(plan, result, options.quiet, report);
  }
  return report;
}

void write(const std::filesystem::path& folder, const PlanReport& report) {
  std::vector<ResultFile> files = {{kPlanMark, plan_json(report)}, {"plan.csv", plan_csv(report)}};
  if (std::string svg = plan_svg(report); !svg.empty()) {
    files.push_back({"plan.svg", std::move(svg)});
  }
  if (!report.resolved_choice.empty()) {
    files.push_back({"choice.toml", report.resolved_choice});
  }
  add_page_html(files, plan_page_html(report));
  write_folder(folder, files);
}

void run(const PlanOptions& options) {
  watch_for_interrupt();
  if (!options.out.empty()) {
    check_result_folder(options.out, kPlanMark);
  }
  const PlanReport report = plan_report(options);
  if (!options.out.empty()) {
    write(options.out, report);
  }
  print(options.json ? plan_json(report) : plan_text(report));
  if (!options.out.empty() && !options.quiet) {
    print_error(results_line(options.out, kPlanMark));
  }
  if (report.interrupted) {
    const auto reached = std::count_if(report.rows.begin(), report.rows.end(), [](const auto& r) {
      return r.outcome.state != PlanState::kNotReached;
    });
    throw Interrupted(fmt::format(
        "interrupted; the report covers {} of {} configurations", reached, report.rows.size()));
  }
}

}  // namespace

void add_plan_command(CLI::App& app) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* command = app.add_subcommand(
      "plan",
      "Search clusters and layouts under limits: Pareto front of throughput, latency and cost, "
      "what limits each, what would change the choice");
  command->add_option("plan", options->file, "plan file (TOML; keys: docs/plan.md)")
      ->required()
      ->type_name("PLAN");
  command
      ->add_option("--set",
                   options->overrides,
                   "override a key of every configuration, e.g. --set batch.context_tokens=8192; "
                   "may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--seed", options->seed, "random seed, instead of the scenario's")
      ->type_name("N");
  command
      ->add_option("--method",
                   options->method,
                   "exhaustive, bounds or halving, instead of the plan's search.method")
      ->type_name("METHOD")
      ->check(CLI::IsMember({"exhaustive", "bounds", "halving"}));
  add_work_options(*command, options->threads, options->json, options->quiet);
  command
      ->add_option(
          "--out",
          options->out,
          "write report.html, plan.json, plan.csv, plan.svg and choice.toml into this folder")
      ->type_name("DIR");
  command->footer(
      "Example: moesim plan scenarios/plans/v3_decode.toml --out out/plan\n"
      "Ctrl-C reports the best of what was reached.");
  command->callback([options] { run(*options); });
}

}  // namespace moesim::cli
