// SPDX-License-Identifier: Apache-2.0
// `moesim results`: what a result store holds.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <limits>
#include <memory>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/results_text.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/table.hpp"
#include "sim/study/result_store.hpp"
#include "sim/study/result_table.hpp"

namespace moesim::cli {
namespace fs = std::filesystem;
namespace {

struct ResultsOptions {
  fs::path store;
  std::string study;
  ResultQuery query;
  bool csv = false;
  bool json = false;
  bool studies = false;
  int report = -1;
  int scenario = -1;
  fs::path out;
};

std::string studies_text(const ResultStore& store) {
  std::vector<std::vector<std::string>> rows;
  for (const StudyRecord& study : store.studies()) {
    std::array<int, 4> states{};
    for (const PointRecord& point : store.points(study.name)) {
      ++states[static_cast<std::size_t>(point.state)];
    }
    std::vector<std::string>& row = rows.emplace_back();
    row.push_back(study.name);
    for (const int count : states) {
      row.push_back(fmt::format("{}", count));
    }
  }
  return table({"study", "waiting", "running", "done", "refused"}, rows);
}

std::string report_of(const ResultStore& store, const StudyRecord& study, int number) {
  for (const PointRecord& point : store.points(study.name)) {
    if (point.number != number) {
      continue;
    }
    if (point.state != PointState::kDone) {
      throw UserError(
          fmt::format("point {} has no report: it is {}", number, to_text(point.state)));
    }
    return store.report(point.key).value_or("");
  }
  throw UserError(fmt::format("study \"{}\" has no point {}", study.name, number));
}

void show(const ResultsOptions& options) {
  const ResultStore store(options.store, ResultStore::Mode::kRead);
  if (options.studies) {
    print(studies_text(store));
    return;
  }
  const StudyRecord study = find_study(store, options.study);
  if (options.report >= 0) {
    print(report_of(store, study, options.report));
    return;
  }
  if (options.scenario >= 0) {
    const auto report = nlohmann::json::parse(report_of(store, study, options.scenario));
    print(report.at("resolved_scenario").get<std::string>());
    return;
  }
  const ResultTable found = query_results(store, study, options.query);
  if (!options.out.empty()) {
    write_result_table(options.out, study.name, found);
    print_error(results_line(options.out, "results.json"));
  }
  if (options.csv) {
    print(results_csv(found));
  } else if (options.json) {
    print(results_json(study.name, found));
  } else {
    print(results_text(found, std::numeric_limits<std::size_t>::max()));
    print_error(fmt::format("{} of {} points\n", found.rows.size(), found.points));
  }
}

void add_query_options(CLI::App& command, ResultsOptions& options) {
  ResultQuery& query = options.query;
  command.add_option("--study", options.study, "which study of the store, where it holds several")
      ->type_name("NAME");
  command
      .add_option("--where",
                  query.where,
                  "only points for which this holds: =, !=, <, <=, > or >=; may be repeated")
      ->type_name("COLUMN=VALUE")
      ->allow_extra_args(false);
  command
      .add_option("--columns",
                  query.columns,
                  "these, with commas; any path into a report is one: summary.step_s.p50")
      ->type_name("LIST")
      ->delimiter(',');
  command.add_option("--sort", query.sort, "by this column instead of by point")
      ->type_name("COLUMN");
  command.add_flag("--descending", query.descending, "largest first");
  command.add_flag(
      "--times", query.with_times, "with the seconds that each point took; they differ every time");
}

}  // namespace

void add_results_command(CLI::App& app) {
  auto options = std::make_shared<ResultsOptions>();
  CLI::App* command = app.add_subcommand(
      "results", "What a result store of moesim sweep holds: choose, sort, export CSV and JSON");
  command->add_option("store", options->store, "result store (SQLite), as moesim sweep makes")
      ->required()
      ->type_name("STORE");
  add_query_options(*command, *options);
  CLI::Option* csv = command->add_flag("--csv", options->csv, "CSV on standard output");
  command->add_flag("--json", options->json, "one JSON document on standard output")->excludes(csv);
  command
      ->add_option(
          "--out", options->out, "write report.html, results.csv and results.json into this folder")
      ->type_name("DIR");
  command->add_option("--report", options->report, "print the whole JSON report of one point")
      ->type_name("POINT")
      ->check(CLI::Range(0, std::numeric_limits<int>::max()));
  command
      ->add_option("--scenario",
                   options->scenario,
                   "print the resolved scenario of one point, for moesim run or explain")
      ->type_name("POINT")
      ->check(CLI::Range(0, std::numeric_limits<int>::max()));
  command->add_flag("--studies", options->studies, "the studies of the store and how they stand");
  command->footer(
      "Example: moesim results top_k.sqlite --where model.top_k=8 --sort summary.step_s.mean");
  command->callback([options] { show(*options); });
}

}  // namespace moesim::cli
