// SPDX-License-Identifier: Apache-2.0
// `moesim check`: load, validate, print the resolved scenario.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/report/table.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/scenario/resolved_file.hpp"
#include "sim/scenario/serving_model.hpp"

namespace moesim::cli {
namespace {

/// What a reader must know.
struct Remarks {
  std::vector<std::string> notes;
  std::vector<std::string> joins;
};

std::string as_json(const Scenario& scenario, const Remarks& remarks, const std::string& resolved) {
  nlohmann::ordered_json inputs = nlohmann::ordered_json::array();
  for (const InputDigest& input : digests(scenario)) {
    inputs.push_back({{"path", input.path}, {"sha256", input.sha256}});
  }
  const nlohmann::ordered_json json = {{"format", "moesim-check"},
                                       {"inputs", inputs},
                                       {"notes", remarks.notes},
                                       {"joins", remarks.joins},
                                       {"resolved_scenario", resolved}};
  return json.dump(2) + "\n";
}

Remarks remarks_on(Assembly assembly) {
  return {std::move(assembly.notes), std::move(assembly.joins)};
}

Remarks remarks_on_check(const Scenario& scenario) {
  const StepKind kind = scenario.step.kind;
  if (kind == StepKind::kMoeLayers) {
    return remarks_on(assemble(scenario));
  }
  if (kind == StepKind::kServing) {
    return {.notes = serving_model(scenario).notes, .joins = {}};
  }
  return remarks_on(assemble_whole(scenario));
}

}  // namespace

void add_check_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  CLI::App* command = app.add_subcommand(
      "check",
      "Load a scenario, its presets and its trace, check that they fit, print it resolved");
  add_scenario_options(*command, *options);
  command->get_option("--out")->description("write scenario.toml, resolved, into this folder");
  command->footer("Example: moesim check scenarios/tinymoe_h200.toml > resolved.toml");
  command->callback([options] {
    const Scenario scenario = load(*options);
    const Remarks remarks = remarks_on_check(scenario);
    const std::string resolved = resolved_toml_in(options->out, scenario);
    if (!options->out.empty()) {
      write_file_atomically(options->out / "scenario.toml", resolved);
    }
    print(options->json ? as_json(scenario, remarks, resolved) : resolved);
    for (const std::string& join : remarks.joins) {
      print_error(wrapped("joined: " + join));
    }
    for (const std::string& note : remarks.notes) {
      print_error(wrapped("note: " + note));
    }
  });
}

}  // namespace moesim::cli
