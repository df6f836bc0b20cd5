// SPDX-License-Identifier: Apache-2.0
// `moesim place`: placements made on one window of the routing, judged on later ones.
#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <memory>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/options.hpp"
#include "sim/cli/pace_line.hpp"
#include "sim/cli/place_contenders.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/simulate.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/moe/placement_file.hpp"
#include "sim/report/placement_report.hpp"

namespace moesim::cli {
namespace {

constexpr const char* kPlaceMark = "place.json";

struct PlaceOptions {
  ScenarioOptions scenario;
  ContenderOptions contenders;
  int train = 0;
  int windows = 4;
  int move_steps = 0;
  double horizon = 1000;
  std::vector<int> every;
  std::vector<double> thresholds;
};

/// Everything `moesim place` yields.
struct PlaceResult {
  PlacementReport report;
  std::vector<Contender> contenders;
  PlacementSize size;
};

StudyOptions study_options(const PlaceOptions& options, const Scenario& scenario, int layers) {
  const int steps = scenario.batch.steps;
  if (steps < 2) {
    throw UserError(
        "batch.steps: 1; placements are made on some steps and judged on later ones: set 2 or "
        "more");
  }
  const int train = options.train > 0 ? options.train : std::max(1, steps / 4);
  if (train >= steps) {
    throw UserError(fmt::format(
        "--train {}: leaves none of the {} steps (batch.steps) to judge", train, steps));
  }
  return {.train = {.first = 0, .steps = train},
          .steps = steps - train,
          .windows = std::min(options.windows, steps - train),
          .horizon = options.horizon,
          .move_steps = options.move_steps > 0 ? options.move_steps : layers};
}

std::vector<RebalanceOutcome> run_policies(const PlaceOptions& options,
                                           const ContenderInput& input,
                                           const StudyOptions& study,
                                           const ReplayControl& control) {
  std::vector<RebalancePolicy> policies;
  if (!options.every.empty() || !options.thresholds.empty()) {
    policies.emplace_back();
  }
  for (const int every : options.every) {
    policies.push_back({.every = every});
  }
  for (const double threshold : options.thresholds) {
    policies.push_back({.threshold = threshold});
  }
  const int slots = contender_slots(options.contenders, input.scenario);
  const RebalanceSetup setup{.first = study.train.first + study.train.steps,
                             .steps = study.steps,
                             .window = study.train.steps,
                             .make = [&](std::span<const std::vector<double>> loads) {
                               return eplb_of(input, slots, loads);
                             }};
  std::vector<RebalanceOutcome> outcomes;
  outcomes.reserve(policies.size());
  for (const RebalancePolicy& policy : policies) {
    outcomes.push_back(rebalance(input.assembly.step, policy, setup, control));
  }
  return outcomes;
}

/// make_contenders with the progress of its search shown, in thousands, so that an int holds them.
std::vector<Contender> searched_contenders(const PlaceOptions& options, ContenderInput input) {
  constexpr std::int64_t kThousand = 1'000;
  Progress progress("thousand candidate placements", !options.scenario.quiet);
  input.control.on_progress = [&](const SearchProgress& at) {
    progress.update(static_cast<int>(at.moves / kThousand), static_cast<int>(at.total / kThousand));
  };
  return make_contenders(options.contenders, input);
}

PlaceResult study(const PlaceOptions& options) {
  watch_for_interrupt();
  if (!options.scenario.out.empty()) {
    check_result_folder(options.scenario.out, kPlaceMark);
  }
  const Scenario scenario = load(options.scenario);
  PaceLine preparing("routing", !options.scenario.quiet);
  // Drawing tokens does not end the command: a search that Ctrl-C ends leaves its best.
  const Pace pace = [shown = preparing.pace()](
                        std::string_view work, std::int64_t done, std::int64_t total) {
    if (total > 0) {
      shown(work, done, total);
    }
  };
  const Assembly assembly = assemble(scenario, nullptr, pace);
  if (!assembly.step.lost.empty()) {
    throw UserError(
        "faults.nodes: placements are compared on whole groups; leave the lost node out and use "
        "--survive");
  }
  const StudyOptions how = study_options(options, scenario, assembly.step.layers);
  const ContenderInput input{scenario,
                             assembly,
                             how.train,
                             {.first = how.train.first + how.train.steps, .steps = how.steps},
                             {.threads = options.scenario.threads, .cancelled = &interrupted()}};
  PlaceResult result;
  result.contenders = searched_contenders(options, input);
  // A search that Ctrl-C ended leaves its best; the next Ctrl-C ends the command.
  const bool cut_short = has_search(options.contenders) && take_interrupt();
  result.size = placement_size(scenario, assembly.step.layers);
  PlacementReport& report = result.report;
  report.run =
      report_head(options.scenario.file, scenario, assembly, {.out = options.scenario.out});
  report.run.evidence.grade = scenario.calibration.evidence;  // of the constants
  if (cut_short) {
    report.run.notes.emplace_back(
        "the search was interrupted: its placements are the best found until then");
  }
  Progress progress("steps", !options.scenario.quiet);
  const ReplayControl control{
      .threads = options.scenario.threads,
      .cancelled = &interrupted(),
      .on_progress = [&](int done, int total) { progress.update(done, total); }};
  report.study = study_placements(assembly.step, result.contenders, how, control);
  if (options.contenders.bounds && scenario.capacity.policy == OverflowPolicy::kNone) {
    add_bounds(report.study, input);
  }
  report.policies = run_policies(options, input, how, control);
  return result;
}

constexpr std::array<std::string_view, 3> kEndings = {
    ".sglang.json", ".tensorrt_llm.yaml", ".vllm_ascend.json"};

/// The maps of every contender in every engine's form.
void add_maps(const PlaceResult& result, std::vector<ResultFile>& files) {
  for (const Contender& contender : result.contenders) {
    if (contender.hindsight) {
      continue;
    }
    for (std::size_t f = 0; f < kEndings.size(); ++f) {
      files.push_back(
          {fmt::format("{}{}", contender.name, kEndings[f]),
           engine_text(static_cast<EngineFormat>(f), contender.placements, result.size)});
    }
  }
}

/// Whether the maps cover all MoE layers of the model and are alike in all.
bool can_write_maps(const PlaceResult& result) {
  const auto alike = [](const Contender& contender) {
    return std::all_of(
        contender.placements.begin(), contender.placements.end(), [&](const Placement& placement) {
          return placement.num_slots() == contender.placements.front().num_slots();
        });
  };
  return result.size.layers == result.size.moe_layers &&
         std::all_of(result.contenders.begin(), result.contenders.end(), alike);
}

void run(const PlaceOptions& options) {
  PlaceResult result = study(options);
  PlacementReport& report = result.report;
  const ScenarioOptions& to = options.scenario;
  const bool maps = can_write_maps(result);
  if (!to.out.empty() && !maps) {
    report.run.notes.emplace_back(
        "no engine files: they need all MoE layers of the model (step.layers = 0), with as many "
        "slots in each");
  }
  if (!to.out.empty()) {
    std::vector<ResultFile> files = {{kPlaceMark, placement_json(report)},
                                     {"place.csv", placement_csv(report)},
                                     {"steps.csv", placement_steps_csv(report)},
                                     {"place.svg", placement_svg(report)},
                                     {"scenario.toml", report.run.resolved}};
    add_page(files, files.front().text);
    if (maps) {
      add_maps(result, files);
    }
    write_folder(to.out, files);
  }
  print(to.json ? placement_json(report) : placement_text(report));
  if (!to.out.empty() && !to.quiet) {
    print_error(results_line(to.out, kPlaceMark));
  }
}

void add_contender_options(CLI::App& command, ContenderOptions& options) {
  command
      .add_option(
          "--placements",
          options.kinds,
          "contiguous, round_robin, random, greedy, eplb, eplb_global, optimised, hindsight "
          "(optimised on the judged steps: what is left to gain); several with commas")
      ->type_name("LIST")
      ->capture_default_str();
  command
      .add_option("--map", options.files, "an engine's placement file that takes part; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command
      .add_option(
          "--slots",
          options.slots,
          "slots of a layer with replicas, over all ranks; 0: one a rank beyond the experts")
      ->type_name("N")
      ->check(CLI::Range(0, 1'000'000));
  command
      .add_option(
          "--survive",
          options.survive,
          "adds the fastest placement found that keeps every expert when any N nodes are lost")
      ->type_name("N")
      ->check(CLI::Range(0, 16));
}

void add_search_options(CLI::App& command, ContenderOptions& options) {
  command
      .add_option(
          "--moves", options.moves, "optimised and survive: candidates tried for each layer")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}))
      ->capture_default_str();
  command.add_flag(
      "--shared-map", options.shared_map, "optimised and survive: one map for all layers");
  command
      .add_option("--choices",
                  options.choices,
                  "optimised and survive: choices of replicas to try, the best is kept: even, "
                  "nearest, least_loaded, capacity_limited; default: the scenario's")
      ->type_name("LIST");
  command.add_flag("!--no-bounds",
                   options.bounds,
                   "leave out the least layer time of any placement, and the gaps to it");
}

void add_study_options(CLI::App& command, PlaceOptions& options) {
  command.add_option("--train", options.train, "steps that placements are made from; 0: a quarter")
      ->type_name("STEPS")
      ->check(CLI::Range(0, 1'000'000'000));
  command.add_option("--windows", options.windows, "parts of the judged steps, to show drift")
      ->type_name("N")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command.add_option("--horizon", options.horizon, "steps that a placement is to last")
      ->type_name("STEPS")
      ->check(CLI::Range(1.0, 1e12))
      ->capture_default_str();
  command
      .add_option("--move-steps",
                  options.move_steps,
                  "steps over which experts move beside the serving; 0: one a layer")
      ->type_name("STEPS")
      ->check(CLI::Range(0, 1'000'000));
  command
      .add_option(
          "--every", options.every, "also: EPLB made anew every N steps; several with commas")
      ->type_name("LIST")
      ->delimiter(',')
      ->check(CLI::Range(1, 1'000'000'000));
  command
      .add_option("--threshold",
                  options.thresholds,
                  "also: EPLB made anew when the imbalance is above X; several with commas")
      ->type_name("LIST")
      ->delimiter(',')
      ->check(CLI::Range(1.0, 1e6));
}

}  // namespace

void add_place_command(CLI::App& app) {
  auto options = std::make_shared<PlaceOptions>();
  CLI::App* command = app.add_subcommand(
      "place",
      "Placements and replicas side by side: what they gain on later steps, what moving costs");
  add_scenario_options(*command, options->scenario);
  command->get_option("--out")->description(
      "write report.html, place.json, CSV tables, place.svg and engines' placement files into this "
      "folder");
  add_contender_options(*command, options->contenders);
  add_search_options(*command, options->contenders);
  add_study_options(*command, *options);
  command->footer(
      "Example: moesim place scenarios/tinymoe_h200.toml --set batch.steps=32 --slots 80 --every "
      "8,16 --out out/place\n"
      "The baseline is the scenario's own placement. More: docs/placement.md.");
  command->callback([options] { run(*options); });
}

}  // namespace moesim::cli
