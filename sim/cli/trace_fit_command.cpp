// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/trace_fit_command.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>
#include <optional>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/pace_line.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/moe/generate/fit.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/report/table.hpp"
#include "sim/scenario/digest.hpp"
#include "sim/scenario/generator_file.hpp"

namespace moesim::cli {
namespace fs = std::filesystem;
namespace {

struct FitCommand {
  fs::path pack;
  fs::path out;
  std::string name;
  std::uint64_t seed = 1;
  bool json = false;
  bool quiet = false;
};

/// A table for each part, which heads its first column.
std::string fit_table(const generate::FitResult& fit) {
  std::string text;
  for (auto row = fit.rows.begin(); row != fit.rows.end();) {
    const std::string& part = row->part;
    std::vector<std::vector<std::string>> rows;
    for (; row != fit.rows.end() && row->part == part; ++row) {
      rows.push_back(
          {row->quantity + (row->is_target ? " *" : ""),
           fmt::format("{:.3f}", row->recorded),
           fmt::format("{:.3f}", row->generated),
           row->recorded == 0.0
               ? std::string("-")
               : fmt::format("{:+.0f} %", 100.0 * (row->generated / row->recorded - 1.0))});
    }
    text += table({part, "recorded", "generated", "error"}, rows) + "\n";
  }
  text += "* the fit aimed at it\n";
  for (const std::string& note : fit.notes) {
    text += "note: " + note + "\n";
  }
  return text;
}

std::string fit_json(const generate::FitResult& fit, const std::string& parameters) {
  nlohmann::ordered_json json = {{"format", "moesim-trace-fit"},
                                 {"fitted_on", fit.spec.fitted_on},
                                 {"parameters_toml", parameters},
                                 {"rows", nlohmann::ordered_json::array()},
                                 {"notes", fit.notes}};
  for (const generate::FitRow& row : fit.rows) {
    json["rows"].push_back({{"part", row.part},
                            {"quantity", row.quantity},
                            {"recorded", row.recorded},
                            {"generated", row.generated},
                            {"is_target", row.is_target}});
  }
  return json.dump(2) + "\n";
}

void run_fit(const FitCommand& command) {
  watch_for_interrupt();
  std::optional<PaceLine> line(std::in_place, "trace fit", !command.quiet);
  const Pace pace = line->pace();
  const traces::RoutePack pack = traces::read_pack(command.pack, pace);
  generate::FitResult fit = generate::fit_generator(pack, command.seed, pace);
  const std::string recorded = command.name.empty() ? pack.header.model : command.name;
  fit.spec.fitted_on =
      fmt::format("{} (sha256 {})", recorded, sha256_hex(command.pack, pace).substr(0, 12));
  line.reset();  // it is wiped before anything is printed
  const std::string text = fit_table(fit);
  const std::string parameters =
      generator_toml(fit.spec,
                     fmt::format("Written by {}, moesim trace fit, seed {}.\n\n{}",
                                 version_text().substr(0, version_text().find('\n')),
                                 command.seed,
                                 text));
  if (!command.out.empty()) {
    write_file_atomically(command.out, parameters);
  }
  print(command.json ? fit_json(fit, parameters)
                     : text + (command.out.empty() ? "\n" + parameters : ""));
}

struct GenerateCommand {
  std::string generator;
  fs::path pack;
  std::optional<int> experts;
  std::optional<int> top_k;
  std::optional<int> layers;
  int requests = 64;
  std::uint64_t seed = 1;
  bool overwrite = false;
  bool quiet = false;
};

/// What the option says, else what the generator was fitted for.
int stated(const std::optional<int>& option, int fitted, std::string_view name) {
  if (!option && fitted == 0) {
    throw UserError(fmt::format("--{} is needed: the generator does not say it", name));
  }
  return option.value_or(fitted);
}

void check_shape(const GeneratorSpec& spec, const generate::PackShape& shape) {
  if (shape.top_k > shape.num_experts) {
    throw UserError(fmt::format(
        "--top-k {}: more than the {} experts of a layer", shape.top_k, shape.num_experts));
  }
  if (shape.num_experts % spec.groups != 0 || spec.top_groups > spec.groups ||
      shape.num_experts / spec.groups * spec.top_groups < shape.top_k) {
    throw UserError(fmt::format("{} of {} groups do not fit {} experts, top-{}",
                                spec.top_groups,
                                spec.groups,
                                shape.num_experts,
                                shape.top_k));
  }
  constexpr double kMostAssignments = 1e10;
  const double assignments = static_cast<double>(shape.sequences.size()) * spec.request_tokens *
                             shape.layers * shape.top_k;
  if (assignments > kMostAssignments) {
    throw UserError(fmt::format(
        "{:.2g} assignments; a pack is made of at most {:.0g}", assignments, kMostAssignments));
  }
}

void run_generate(const GenerateCommand& command) {
  const GeneratorSpec spec = load_generator(command.generator);
  const generate::PackShape shape{
      .num_experts = stated(command.experts, spec.experts, "experts"),
      .top_k = stated(command.top_k, spec.top_k, "top-k"),
      .layers = stated(command.layers, spec.layers, "layers"),
      .sequences = generate::generated_sequences(spec, command.requests)};
  check_shape(spec, shape);
  watch_for_interrupt();
  PaceLine line("trace generate", !command.quiet);
  traces::RoutePack pack = generate::generate_pack(spec, shape, command.seed, line.pace());
  pack.folder = command.pack;
  write_pack(pack, "{\"generated\": true}", command.overwrite);
  print(fmt::format("{}: {}\n{} tokens in {} requests, {} layers x {} experts, top-{}, seed {}\n",
                    command.pack.string(),
                    pack.header.source,
                    pack.tokens(),
                    command.requests,
                    shape.layers,
                    shape.num_experts,
                    shape.top_k,
                    command.seed));
}

}  // namespace

void add_trace_fit(CLI::App& trace) {
  auto fit = std::make_shared<FitCommand>();
  CLI::App* command = trace.add_subcommand(
      "fit", "Fit the generator to a route pack; test it on sequences and domains it did not see");
  command->add_option("pack", fit->pack, "route pack (folder; format: docs/traces.md)")
      ->required()
      ->type_name("PACK");
  command->add_option("--out", fit->out, "write the parameters: a preset of [routing]")
      ->type_name("FILE");
  command->add_option("--name", fit->name, "what was recorded, instead of the pack's model");
  command->add_option("--seed", fit->seed, "random seed")->type_name("N")->capture_default_str();
  command->add_flag("--json", fit->json, "one JSON document on standard output");
  command->add_flag("-q,--quiet", fit->quiet, "no progress");
  command->footer("Example: moesim trace fit packs/gpt-oss --out gpt-oss.toml");
  command->callback([fit] { run_fit(*fit); });
}

void add_trace_generate(CLI::App& trace) {
  auto generate = std::make_shared<GenerateCommand>();
  CLI::App* command =
      trace.add_subcommand("generate", "Make a route pack from a generator, labelled as generated");
  command
      ->add_option("generator",
                   generate->generator,
                   "a preset of [routing] that generates: its name, or a .toml file")
      ->required()
      ->type_name("GENERATOR");
  command->add_option("pack", generate->pack, "the route pack to make (folder)")
      ->required()
      ->type_name("PACK");
  const CLI::Range counts(1, 65'534);
  command->add_option("--experts", generate->experts, "experts of a layer")->check(counts);
  command->add_option("--top-k", generate->top_k, "experts of a token")->check(counts);
  command->add_option("--layers", generate->layers, "MoE layers")->check(counts);
  command->add_option("--requests", generate->requests, "requests, each a sequence of the pack")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  command->add_option("--seed", generate->seed, "random seed")
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--overwrite", generate->overwrite, "replace an existing pack");
  command->add_flag("-q,--quiet", generate->quiet, "no progress");
  command->footer("Example: moesim trace generate deepseek-r1-published packs/r1 --requests 200");
  command->callback([generate] { run_generate(*generate); });
}

}  // namespace moesim::cli
