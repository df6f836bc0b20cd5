// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/serving_run.hpp"

#include <tbb/global_control.h>

#include <optional>
#include <utility>

#include "sim/cli/console.hpp"
#include "sim/cli/pace_line.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/cli/timeline_file.hpp"
#include "sim/cli/whole_run.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/page.hpp"
#include "sim/report/serving_report.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/resolved_file.hpp"
#include "sim/scenario/serving_model.hpp"

namespace moesim::cli {
namespace {

/// The parts of a report that are known before anything runs.
ServingReport head_of(const std::filesystem::path& file,
                      const Scenario& scenario,
                      const ServingControl& control,
                      const ServingModel& model) {
  ServingReport report;
  report.version = MOESIM_VERSION;
  report.scenario = file.string();
  report.resolved = resolved_toml_in(control.out, scenario);
  report.seed = scenario.seed;
  report.inputs = control.inputs ? *control.inputs : digests(scenario, end_when_interrupted());
  report.notes = model.notes;
  report.faults = model.assembly.faults;
  report.grade = whole_grade(scenario.calibration);
  report.evidence_source = scenario.calibration.source;
  report.model = scenario.model.name;
  report.policy = serving_policy_words()[static_cast<std::size_t>(scenario.requests.policy)];
  report.parallel = scenario.parallel;
  report.spec = scenario.requests;
  report.arrivals = model.arrivals.origin;
  report.routing = model.routes == nullptr ? "" : model.routes->info().draw;
  report.kv = model.kv;
  return report;
}

}  // namespace

ServingReport simulate_serving(const std::filesystem::path& file,
                               const Scenario& scenario,
                               const ServingControl& control) {
  std::optional<tbb::global_control> limit;
  if (control.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(control.threads));
  }
  const ServingModel model = [&] {
    PaceLine routing("routing", control.progress);
    return serving_model(scenario, routing.pace());
  }();
  ServingReport report = head_of(file, scenario, control, model);
  const std::span<const Request> requests(model.arrivals.requests);
  StepSurface surface(
      model.whole, model.routes.get(), requests, scenario.requests.surface_layers, scenario.seed);
  {
    Progress progress("requests", control.progress);
    report.run = serve(
        requests,
        model.setup,
        [&](const GroupLoads& loads) { return surface.time(loads); },
        &model.whole.step,
        {.cancelled = &interrupted(), .on_progress = [&](std::int64_t done, std::int64_t total) {
           progress.update(done, total);
         }});
  }
  report.surface_points = surface.points();
  if (!report.run.partial) {
    Progress progress("checked steps", control.progress);
    report.checks = check_steps(
        model.whole, model.routes.get(), report.run.kept, &interrupted(), [&](int done, int total) {
          progress.update(done, total);
        });
  }
  if (scenario.price.is_stated()) {
    const double busy = figures_of(report).utilization;
    report.money =
        money_report(serving_prices(scenario.price, busy), model.whole.step.cluster, report.gpus());
  }
  return report;
}

void run_serving(const ScenarioOptions& options, bool timeline) {
  watch_for_interrupt();
  if (options.strict) {
    throw UserError(
        "--strict: attention, dense layers and head of a whole model rest on no fit of their own");
  }
  if (!options.out.empty()) {
    check_result_folder(options.out);
  }
  const ServingReport report = simulate_serving(
      options.file,
      load(options),
      {.threads = options.threads, .progress = !options.quiet, .out = options.out});
  const bool stopped = take_interrupt();
  if (!options.out.empty()) {
    std::vector<ResultFile> files = {{"report.json", serving_json(report)},
                                     {"requests.csv", requests_csv(report)},
                                     {"series.csv", series_csv(report)},
                                     {"scenario.toml", report.resolved}};
    add_page_html(files, serving_page_html(report));
    write_folder(options.out, files, [&](const std::filesystem::path& folder) {
      if (timeline) {
        write_timeline_file(folder / "timeline.json.gz", report);
      }
    });
  }
  print(options.json ? serving_json(report) : serving_text(report));
  if (!options.out.empty() && !options.quiet) {
    print_error(results_line(options.out, "report.json"));
  }
  if (stopped) {
    throw Interrupted("interrupted: the figures are of the requests done until then");
  }
}

}  // namespace moesim::cli
