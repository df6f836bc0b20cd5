// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/options.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "sim/cli/host.hpp"
#include "sim/scenario/load_settings.hpp"

namespace moesim::cli {

void add_work_options(CLI::App& command, int& threads, bool& json, bool& quiet) {
  command.add_option("--threads", threads, "threads, 0: all cores; results do not depend on it")
      ->type_name("N")
      ->check(CLI::Range(0, 4096));
  command.add_flag(
      "--json", json, "one JSON document on standard output, all else on standard error");
  command.add_flag("-q,--quiet", quiet, "no progress");
}

void add_scenario_options(CLI::App& command, ScenarioOptions& options) {
  command.add_option("scenario", options.file, "scenario file (TOML; keys: docs/scenario.md)")
      ->required()
      ->type_name("SCENARIO");
  command
      .add_option("--set",
                  options.overrides,
                  "override a key, e.g. --set capacity.factor=1.25; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command.add_option("--seed", options.seed, "random seed, instead of the scenario's")
      ->type_name("N");
  add_work_options(command, options.threads, options.json, options.quiet);
  command
      .add_option(
          "--out", options.out, "write report.html, report.json and CSV tables into this folder")
      ->type_name("DIR");
}

void add_strict_option(CLI::App& command, ScenarioOptions& options) {
  command.add_flag("--strict",
                   options.strict,
                   "refuse a result that leaves the range of the measurements behind it");
}

Scenario load(const ScenarioOptions& options) {
  std::vector<Override> overrides = options.overrides;
  if (options.seed) {
    overrides.push_back(fmt::format("seed={}", *options.seed));
  }
  return load(options.file, overrides);
}

Scenario load(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  if (const HostConsole* host = host_console()) {
    const auto text = host->texts.find(file.string());
    if (text != host->texts.end()) {
      return load_text(text->second, text->first, overrides);
    }
  }
  return load_scenario(file, overrides);
}

}  // namespace moesim::cli
