// SPDX-License-Identifier: Apache-2.0
// `moesim validate`: predictions beside measurements that others made.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <map>
#include <memory>

#include "sim/calibrate/validation.hpp"
#include "sim/cli/any_run.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/validate_text.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/page.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;
using calibrate::ValidationCase;

struct ValidateOptions {
  fs::path cases;
  fs::path out;
  int threads = 0;
  bool json = false;
  bool quiet = false;
};

/// The report of a case's scenario (layers, whole steps or requests), parsed from what `moesim run
/// --json` prints, so that a quantity means the same in both. Cases that share a scenario and its
/// overrides share the run.
class Reports {
 public:
  explicit Reports(int threads) : threads_(threads) {}

  const Json& of(const ValidationCase& one) {
    const auto key = std::make_pair(one.scenario, one.overrides);
    const auto known = reports_.find(key);
    return known != reports_.end() ? known->second : reports_.emplace(key, run(one)).first->second;
  }

 private:
  [[nodiscard]] Json run(const ValidationCase& one) {
    try {
      const Scenario scenario = load_scenario(one.scenario, one.overrides);
      return Json::parse(json_of_run(one.scenario, scenario, threads_, &cache_));
    } catch (const UserError& error) {
      one.refuse(fmt::format("case \"{}\" cannot be run:\n{}", one.name, error.what()));
    } catch (const EnvironmentError& error) {
      throw EnvironmentError(fmt::format("{}:{}: case \"{}\" cannot be run: {}",
                                         one.file.string(),
                                         one.line,
                                         one.name,
                                         error.what()));
    }
  }

  int threads_;
  AssemblyCache cache_;
  std::map<std::pair<fs::path, std::vector<std::string>>, Json> reports_;
};

ValidationResults predict(const std::vector<ValidationCase>& cases,
                          const ValidateOptions& options) {
  ValidationResults results;
  Reports reports(options.threads);
  Progress progress("cases", !options.quiet);
  for (const ValidationCase& one : cases) {
    const Json& report = reports.of(one);
    results.push_back({.of = one,
                       .predicted = calibrate::quantity_of(report, one) / one.unit_size,
                       .grade = report["evidence"]["grade"].get<std::string>()});
    progress.update(static_cast<int>(results.size()), static_cast<int>(cases.size()));
  }
  return results;
}

void write(const ValidateOptions& options, const ValidationResults& results, std::string json) {
  write_file_atomically(options.out / "validation.json", json);
  write_file_atomically(options.out / "validation.csv", validation_csv(results));
  if (const std::string svg = validation_svg(results); !svg.empty()) {
    write_file_atomically(options.out / "validation.svg", svg);
  }
  if (has_page()) {
    write_file_atomically(options.out / "report.html", page_html(json));
  }
}

void run(const ValidateOptions& options) {
  watch_for_interrupt();
  const std::vector<ValidationCase> cases =
      calibrate::read_cases(traces::parse_csv(options.cases, read_file(options.cases)));
  const ValidationResults results = predict(cases, options);
  const std::string json = validation_json(results, options.cases, sha256_hex(options.cases));
  if (!options.out.empty()) {
    write(options, results, json);
  }
  print(options.json ? json : validation_text(results));
}

}  // namespace

void add_validate_command(CLI::App& app) {
  auto options = std::make_shared<ValidateOptions>();
  CLI::App* command = app.add_subcommand(
      "validate", "Predictions beside published measurements; median, P90 and bias by tier");
  command
      ->add_option("cases",
                   options->cases,
                   "cases (CSV): case,tier,scenario,set,quantity,measured,unit,source; "
                   "docs/validation.md says how to write them")
      ->required()
      ->type_name("CASES.csv");
  command
      ->add_option(
          "--out",
          options->out,
          "write report.html, validation.json, validation.csv and validation.svg into this "
          "folder")
      ->type_name("DIR");
  add_work_options(*command, options->threads, options->json, options->quiet);
  command->footer("Example: moesim validate scenarios/validation/large.csv --out out/validation");
  command->callback([options] { run(*options); });
}

}  // namespace moesim::cli
