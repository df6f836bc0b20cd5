// SPDX-License-Identifier: Apache-2.0
// `moesim compare`: two scenarios, or two results, with the same seeds.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <utility>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/serving_run.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/cli/whole_run.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/compare_report.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kCompareMark = "compare.json";

struct CompareOptions {
  ScenarioOptions a;  ///< file, and everything that both share
  fs::path b;
  std::vector<std::string> b_overrides;
  int seeds = 5;
};

/// A result folder stands for the scenario in it.
fs::path scenario_of(const fs::path& named) {
  if (!fs::is_directory(named)) {
    return named;
  }
  fs::path inside = named / "scenario.toml";
  if (!fs::exists(inside)) {
    throw UserError(fmt::format(
        "{}: a folder without scenario.toml; name a scenario or a result folder", named.string()));
  }
  return inside;
}

/// Both sides, loaded, with their files.
struct Sides {
  fs::path file_a;
  fs::path file_b;
  Scenario a;
  Scenario b;
};

Sides load_sides(const CompareOptions& options) {
  const fs::path file_a = scenario_of(options.a.file);
  const fs::path file_b = options.b.empty() ? file_a : scenario_of(options.b);
  if (options.b.empty() && options.b_overrides.empty()) {
    throw UserError("compare: nothing to compare with; name B, or change it with --set-b");
  }
  std::vector<std::string> overrides_b = options.a.overrides;
  overrides_b.insert(overrides_b.end(), options.b_overrides.begin(), options.b_overrides.end());
  Sides sides{.file_a = file_a,
              .file_b = file_b,
              .a = load(file_a, options.a.overrides),
              .b = load(file_b, overrides_b)};
  if (sides.a.step.kind != sides.b.step.kind) {
    const auto word = [](const Scenario& scenario) {
      return step_kind_words()[static_cast<std::size_t>(scenario.step.kind)];
    };
    throw UserError(fmt::format(
        "compare: step.kind is \"{}\" in A and \"{}\" in B", word(sides.a), word(sides.b)));
  }
  return sides;
}

/// Runs both sides with every seed.
template <typename Run>
auto run_seeds(const CompareOptions& options, Sides& sides, const Run& run) {
  using Report = decltype(run(sides.file_a, sides.a));
  std::pair<std::vector<Report>, std::vector<Report>> reports;
  const std::uint64_t first = options.a.seed.value_or(sides.a.seed);
  Progress progress("runs", !options.a.quiet);
  const std::int64_t runs = 2 * std::int64_t{options.seeds};
  for (int i = 0; i < options.seeds; ++i) {
    sides.a.seed = sides.b.seed = first + static_cast<std::uint64_t>(i);
    reports.first.push_back(run(sides.file_a, sides.a));
    progress.update(2 * std::int64_t{i} + 1, runs);
    reports.second.push_back(run(sides.file_b, sides.b));
    progress.update(2 * std::int64_t{i} + 2, runs);
  }
  return reports;
}

Comparison compare_scenarios(const CompareOptions& options) {
  using Json = nlohmann::ordered_json;
  Sides sides = load_sides(options);
  const SimulateControl control{.threads = options.a.threads};
  switch (sides.a.step.kind) {
    case StepKind::kMoeLayers: {
      const auto [a, b] =
          run_seeds(options, sides, [&](const fs::path& file, const Scenario& side) {
            return simulate(file, side, control);
          });
      return compare(a, b);
    }
    case StepKind::kServing: {
      const auto [a, b] =
          run_seeds(options, sides, [&](const fs::path& file, const Scenario& side) {
            const ServingReport report =
                simulate_serving(file, side, {.threads = options.a.threads, .progress = false});
            if (interrupted()) {
              throw Cancelled();
            }
            return Json::parse(serving_json(report));
          });
      return compare_reports(a, b);
    }
    default: {
      const auto [a, b] =
          run_seeds(options, sides, [&](const fs::path& file, const Scenario& side) {
            return Json::parse(whole_json(simulate_whole(file, side, control)));
          });
      return compare_reports(a, b);
    }
  }
}

void run(const CompareOptions& options) {
  watch_for_interrupt();
  const fs::path& out = options.a.out;
  if (!out.empty()) {
    check_result_folder(out, kCompareMark);
  }
  const Comparison comparison = compare_scenarios(options);
  const std::string json = compare_json(comparison);
  if (!out.empty()) {
    std::vector<ResultFile> files = {{std::string(kCompareMark), json},
                                     {"compare.csv", compare_csv(comparison)},
                                     {"a.toml", comparison.a.resolved},
                                     {"b.toml", comparison.b.resolved}};
    add_page(files, json);
    write_folder(out, files);
  }
  print(options.a.json ? json : compare_text(comparison));
  if (!out.empty() && !options.a.quiet) {
    print_error(results_line(out, kCompareMark));
  }
}

}  // namespace

void add_compare_command(CLI::App& app) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = app.add_subcommand(
      "compare", "Two scenarios or results with the same seeds: what changed, where the time went");
  add_scenario_options(*command, options->a);
  command->get_option("scenario")->description("A: scenario file or result folder")->type_name("A");
  command->get_option("--set")->description(
      "override a key of both, e.g. --set batch.steps=8; may be repeated");
  command->get_option("--out")->description(
      "write report.html, compare.json, compare.csv, a.toml and b.toml into this folder");
  command->get_option("--seed")->description("first seed, instead of A's");
  command->add_option("b", options->b, "B: the same; A again if left out")->type_name("B");
  command->add_option("--set-b", options->b_overrides, "override a key of B alone; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command
      ->add_option("--seeds",
                   options->seeds,
                   "seeds to run both with; their spread is the noise that a difference must beat")
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->footer(
      "Example: moesim compare scenarios/tinymoe_h200.toml --set-b capacity.policy=drop "
      "--set-b capacity.factor=1.25\n"
      "What a seed draws (requests of a batch, hashed paths) is drawn alike on both sides.");
  command->callback([options] { run(*options); });
}

}  // namespace moesim::cli
