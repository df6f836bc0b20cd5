// SPDX-License-Identifier: Apache-2.0
// `moesim memory`: what a rank of a whole model holds, and what would fit.
#include <CLI/CLI.hpp>

#include <memory>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/report/memory_report.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/memory_model.hpp"

namespace moesim::cli {
namespace {

MemoryReport report_of(const ScenarioOptions& options) {
  const Scenario scenario = load(options);
  MemoryReport report = memory_report(memory_model(scenario));
  report.version = MOESIM_VERSION;
  report.scenario = options.file.string();
  report.resolved = resolved_toml(scenario);
  for (const std::filesystem::path& file : scenario.inputs) {  // what is replayed needs no memory
    report.inputs.push_back({file.string(), sha256_hex(file)});
  }
  report.kind = step_kind_words()[static_cast<std::size_t>(scenario.step.kind)];
  report.gpu = scenario.cluster.gpu.name;
  return report;
}

}  // namespace

void add_memory_command(CLI::App& app) {
  auto options = std::make_shared<ScenarioOptions>();
  CLI::App* command = app.add_subcommand(
      "memory", "What a rank of a whole model holds in memory, part by part, and what would fit");
  add_scenario_options(*command, *options);
  command->get_option("--out")->description("write memory.json into this folder");
  command->footer(
      "Needs step.kind = prefill, decode or train.\n"
      "Example: moesim memory scenarios/v3_decode_h200.toml --set batch.context_tokens=8192");
  command->callback([options] {
    const MemoryReport report = report_of(*options);
    if (!options->out.empty()) {
      write_file_atomically(options->out / "memory.json", memory_json(report));
    }
    print(options->json ? memory_json(report) : memory_text(report));
  });
}

}  // namespace moesim::cli
