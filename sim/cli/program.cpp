// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/program.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>

#include "gpu_ref/device/devices.hpp"
#include "sim/cli/command_tree.hpp"
#include "sim/cli/commands.hpp"
#include "sim/cli/manual_command.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"
#include "sim/network/network.hpp"
#include "sim/report/page.hpp"
#include "sim/study/mpi_world.hpp"

namespace moesim::cli {

std::string version_text() {
  return fmt::format("moesim {}\nsimgrid engine: {}\nCUDA reference: {}\nreport page: {}\nMPI: {}",
                     MOESIM_VERSION,
                     is_available(NetworkEngine::kSimGrid) ? "yes" : "no",
                     gpu_ref::built_with_cuda() ? "yes" : "no",
                     has_page() ? "yes" : "no",
                     mpi_is_built() ? "yes" : "no");
}

namespace {

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

/// CLI11 reports a mistyped command as a missing one; this names it.
void check_command_words(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  for (const std::string& word : words) {
    const std::vector<std::string> known = commands_of(*at);
    if (word.starts_with('-') || known.empty()) {
      return;
    }
    if (std::find(known.begin(), known.end(), word) == known.end()) {
      const std::string near = nearest_word(word, known);
      const std::vector<std::string_view> views(known.begin(), known.end());
      throw UserError(fmt::format("unknown command {}; {}known: {}",
                                  quoted_text(word),
                                  near.empty() ? "" : fmt::format("did you mean \"{}\"? ", near),
                                  word_list(views)));
    }
    at = at->get_subcommand(word);
  }
}

}  // namespace

std::unique_ptr<CLI::App> make_program() {
  auto program = std::make_unique<CLI::App>(
      "Simulate Mixture-of-Experts layers on a GPU cluster from real routing traces", "moesim");
  CLI::App& app = *program;
  app.formatter_fn([](const CLI::App* command, const std::string&, CLI::AppFormatMode) {
    return help_text(describe_command(*command));
  });
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  add_run_command(app);
  add_explain_command(app);
  add_calibrate_command(app);
  add_validate_command(app);
  add_capacity_command(app);
  add_compare_command(app);
  add_place_command(app);
  add_plan_command(app);
  add_sweep_command(app);
  add_results_command(app);
  add_check_command(app);
  add_memory_command(app);
  add_trace_command(app);
  add_topology_command(app);
  add_network_bench_command(app);
  add_measure_command(app);
  add_completion_command(app);
  add_manual_command(app);
  return program;
}

void run_words(CLI::App& program, const std::vector<std::string>& words) {
  check_command_words(program, words);
  program.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // as CLI11 wants them
}

}  // namespace moesim::cli
