// SPDX-License-Identifier: Apache-2.0
// `moesim trace learn`: the loads of a gate in training, as a pack that scenarios replay.
#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <filesystem>
#include <memory>

#include "sim/cli/console.hpp"
#include "sim/cli/pace_line.hpp"
#include "sim/cli/trace_fit_command.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/moe/generate/learned_gate.hpp"
#include "sim/moe/traces/skew.hpp"
#include "sim/report/table.hpp"

namespace moesim::cli {
namespace {

struct LearnCommand {
  std::filesystem::path pack;
  generate::GateSpec gate;
  std::uint64_t seed = 1;
  bool overwrite = false;
  bool quiet = false;
};

/// Largest load of an expert over the mean, and idle experts, at steps 1, 2, 5, 10, ...
std::string training_table(const traces::RoutePack& pack) {
  std::vector<std::vector<std::string>> rows;
  constexpr std::int64_t kLeads[] = {1, 2, 5};
  std::int64_t step = 1;
  for (std::int64_t i = 1, decade = 1; step <= pack.steps(); ++i) {
    std::vector<double> imbalance;
    std::vector<double> cold;
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(pack.header.layers); ++layer) {
      const traces::LoadSkew skew =
          traces::load_skew(step_counts(pack, static_cast<std::size_t>(step - 1), layer));
      imbalance.push_back(skew.max_over_mean);
      cold.push_back(skew.cold);
    }
    rows.push_back({fmt::format("{}", step),
                    fmt::format("{:.2f}", traces::spread_of(imbalance).median),
                    fmt::format("{:.1f}", traces::spread_of(cold).median)});
    decade *= i % 3 == 0 ? 10 : 1;
    step = kLeads[i % 3] * decade;
  }
  return table({"training step", "load max/mean", "experts under 0.1 x mean"}, rows);
}

void run_learn(const LearnCommand& command) {
  const generate::GateSpec& gate = command.gate;
  if (gate.top_k > gate.experts) {
    throw UserError(
        fmt::format("--top-k {}: more than the {} experts of a layer", gate.top_k, gate.experts));
  }
  if (gate.training.expert_choice &&
      std::int64_t{gate.training.tokens} * gate.top_k % gate.experts != 0) {
    throw UserError(fmt::format(
        "--expert-choice: {} tokens x top-{} are no equal shares of {} experts; change --tokens",
        gate.training.tokens,
        gate.top_k,
        gate.experts));
  }
  watch_for_interrupt();
  PaceLine line("trace learn", !command.quiet);
  traces::RoutePack pack = generate::train_gate(gate, command.seed, line.pace());
  pack.folder = command.pack;
  write_pack(pack, "{\"generated\": true}", command.overwrite);
  print(fmt::format("{}: {}\n\n", command.pack.string(), pack.header.source) +
        training_table(pack));
}

void add_gate_options(CLI::App& command, generate::GateSpec& gate) {
  const auto count = [&](const char* name, int& value, const char* what, int most) {
    command.add_option(name, value, what)->check(CLI::Range(1, most))->capture_default_str();
  };
  count("--experts", gate.experts, "experts of a layer", 4096);
  count("--top-k", gate.top_k, "experts of a token", 256);
  count("--layers", gate.layers, "gates, trained apart", 256);
  count("--steps", gate.steps, "training steps", 100'000);
  count("--tokens", gate.training.tokens, "tokens of a step", 65'536);
  count("--clusters", gate.training.clusters, "kinds of tokens", 65'536);
  const auto number = [&](const char* name, double& value, const char* what) {
    command.add_option(name, value, what)->check(CLI::Range(0.0, 1000.0))->capture_default_str();
  };
  number("--aux-loss", gate.training.aux_loss, "weight of the auxiliary load-balancing loss");
  number("--z-loss", gate.training.z_loss, "weight of the z-loss");
  number("--noise", gate.training.noise, "noisy top-k: standard deviation of the noise");
  number("--bias-rate", gate.training.bias_rate, "bias adjustment as in DeepSeek-V3: its step");
  number("--initial-scale",
         gate.training.initial_scale,
         "standard deviation of the gate's first weights");
  number("--learning-rate", gate.training.learning_rate, "of the gate");
  number("--skill-rate", gate.training.skill_rate, "of the experts");
  command.add_flag("--expert-choice", gate.training.expert_choice, "experts choose tokens");
  command
      .add_option("--reset-after",
                  gate.training.reset_after,
                  "steps after which a dead expert starts anew; 0: never")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
}

}  // namespace

void add_trace_learn(CLI::App& trace) {
  auto learn = std::make_shared<LearnCommand>();
  CLI::App* command =
      trace.add_subcommand("learn", "Train a gate on clustered tokens; its loads become a pack");
  command->add_option("pack", learn->pack, "the route pack to make (folder)")
      ->required()
      ->type_name("PACK");
  add_gate_options(*command, learn->gate);
  command->add_option("--seed", learn->seed, "random seed")->type_name("N")->capture_default_str();
  command->add_flag("--overwrite", learn->overwrite, "replace an existing pack");
  command->add_flag("-q,--quiet", learn->quiet, "no progress");
  command->footer("Example: moesim trace learn packs/collapse --steps 200 --aux-loss 0");
  command->callback([learn] { run_learn(*learn); });
}

}  // namespace moesim::cli
