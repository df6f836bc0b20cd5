// SPDX-License-Identifier: Apache-2.0
// `moesim measure`: the measurement kit on the attached GPUs.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>

#include "gpu_ref/device/devices.hpp"
#include "gpu_ref/measure/measurement.hpp"
#include "gpu_ref/measure/mistake.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {
namespace {

using measure::MeasureOptions;

std::string list_json(const std::vector<measure::Case>& cases) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const measure::Case& c : cases) {
    list.push_back({{"case", measure::key_of(c)}, {"tier", c.tier}, {"expected_s", c.estimate_s}});
  }
  return nlohmann::ordered_json{{"format", "moesim-measure-list"}, {"cases", list}}.dump(2) + "\n";
}

std::string result_json(const measure::RunnerResult& result, const std::string& file) {
  return nlohmann::ordered_json{{"format", "moesim-measure"},
                                {"file", file},
                                {"measured", result.measured},
                                {"already_in_file", result.already},
                                {"skipped", result.skipped},
                                {"left_out", result.left_out}}
             .dump(2) +
         "\n";
}

void run(const MeasureOptions& options, bool json) {
  if (options.list) {
    const std::vector<measure::Case> cases =
        measure::cases_of(options, std::max(1, gpu_ref::attached_gpus()), 1);
    print(json ? list_json(cases) : measure::list_text(cases));
    return;
  }
  watch_for_interrupt();
  measure::MeasureHooks hooks{
      .on_progress = {}, .interrupted = &interrupted(), .version = MOESIM_VERSION};
  const bool first = measure::process_group().rank == 0;
  if (!options.quiet && first) {
    hooks.on_progress = [](const measure::Progress& progress) {
      print_error(measure::progress_text(progress) + "\n");
    };
  }
  const measure::RunnerResult result = measure::measure(options, hooks);
  if (first) {
    print(json ? result_json(result, options.file) : measure::result_text(result, options));
  }
  if (result.interrupted) {
    throw Interrupted("interrupted; what was measured is kept in " + options.file);
  }
}

void add_options(CLI::App& command, MeasureOptions& options) {
  command.add_option("--out", options.file, "raw file; an existing one is gone on with")
      ->type_name("FILE")
      ->capture_default_str();
  command.add_flag("--full", options.full, "the whole grid, hours; else a selection for 8 minutes");
  command
      .add_option("--budget",
                  options.budget_s,
                  "seconds; no case is begun that would end later (480; none with --full)")
      ->type_name("SECONDS")
      ->check(CLI::Range(1.0, 1e9));
  command.add_option("--only", options.only, "kinds to measure, separated by commas")
      ->type_name("KINDS")
      ->delimiter(',');
  command.add_option("--trace", options.trace, "expert_load.csv of `trace info --out`, as a skew")
      ->type_name("FILE");
  command.add_option("--gpu", options.gpu, "index of the GPU")
      ->type_name("N")
      ->check(CLI::Range(0, 1023))
      ->capture_default_str();
  command.add_flag("--fresh", options.fresh, "refuse an existing file");
  command.add_flag("--list", options.list, "print the cases and their expected time; needs no GPU");
  command.add_flag("-q,--quiet", options.quiet, "no progress");
}

}  // namespace

void add_measure_command(CLI::App& app) {
  auto options = std::make_shared<MeasureOptions>();
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand(
      "measure", "Measure the attached GPUs into a raw file (schema: docs/measurement.md)");
  add_options(*command, *options);
  command->add_flag("--json", *json, "one JSON document on standard output");
  command->footer(
      "Example: moesim measure --out h200.jsonl && moesim calibrate h200.jsonl "
      "--cluster h200-hgx -o h200.toml");
  command->callback([options, json] {
    try {
      run(*options, *json);
    } catch (const measure::KitMistake& mistake) {
      throw UserError(mistake.what());
    }
  });
}

}  // namespace moesim::cli
