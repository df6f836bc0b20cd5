// SPDX-License-Identifier: Apache-2.0
// `moesim check`: load, validate, print the resolved scenario.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/scenario/assemble.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/scenario/serving_model.hpp"

namespace moesim::cli {
namespace {

std::string as_json(const Scenario& scenario,
                    const std::vector<std::string>& notes,
                    const std::string& resolved) {
  nlohmann::ordered_json inputs = nlohmann::ordered_json::array();
  for (const std::filesystem::path& path : scenario.inputs) {
    inputs.push_back({{"path", path.string()}, {"sha256", sha256_hex(path)}});
  }
  const nlohmann::ordered_json json = {{"format", "moesim-check"},
                                       {"inputs", inputs},
                                       {"notes", notes},
                                       {"resolved_scenario", resolved}};
  return json.dump(2) + "\n";
}

/// What a reader must know. Pipelines of inference cannot be run, but what they hold is checked.
std::vector<std::string> notes_on_check(const Scenario& scenario) {
  const StepKind kind = scenario.step.kind;
  if (kind == StepKind::kMoeLayers) {
    return assemble(scenario).notes;
  }
  if (kind == StepKind::kServing) {
    return serving_model(scenario).notes;
  }
  if (kind != StepKind::kTrain && scenario.parallel.pp > 1) {
    check_memory(scenario);
    return {"only the memory was checked: moesim run simulates pipelines in training only"};
  }
  return assemble_whole(scenario).notes;
}

}  // namespace

void add_check_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  CLI::App* command = app.add_subcommand(
      "check",
      "Load a scenario, its presets and its trace, check that they fit, print it resolved");
  add_scenario_options(*command, *options);
  command->footer("Example: moesim check scenarios/tinymoe_h200.toml > resolved.toml");
  command->callback([options] {
    const Scenario scenario = load(*options);
    const std::vector<std::string> notes = notes_on_check(scenario);
    const std::string resolved = resolved_toml(scenario);
    if (!options->out.empty()) {
      write_file_atomically(options->out / "scenario.toml", resolved);
    }
    print(options->json ? as_json(scenario, notes, resolved) : resolved);
    for (const std::string& note : notes) {
      print_error("note: " + note + "\n");
    }
  });
}

}  // namespace moesim::cli
