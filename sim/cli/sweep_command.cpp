// SPDX-License-Identifier: Apache-2.0
// `moesim sweep`: a scenario under many settings, into a result store.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <memory>
#include <optional>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/result_folder.hpp"
#include "sim/cli/results_text.hpp"
#include "sim/cli/sweep_plan.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"
#include "sim/step/replay.hpp"
#include "sim/study/mpi_world.hpp"
#include "sim/study/sweep_run.hpp"

namespace moesim::cli {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

struct SweepOptions {
  fs::path study;
  fs::path store;
  std::vector<fs::path> from;
  std::string part;
  int threads = 0;
  bool list = false;
  bool again = false;
  bool stop = false;
  bool json = false;
  bool quiet = false;
  fs::path out;
};

/// "2/8": the third of eight parts.
struct Part {
  std::size_t number = 0;
  std::size_t of = 1;
};

Part parse_part(const std::string& text) {
  Part part;
  if (text.empty()) {
    return part;
  }
  const char* end = text.data() + text.size();
  const auto [slash, first] = std::from_chars(text.data(), end, part.number);
  const bool split = first == std::errc() && slash != end && *slash == '/';
  const auto [stop, second] = std::from_chars(split ? slash + 1 : end, end, part.of);
  if (!split || second != std::errc() || stop != end || part.number >= part.of) {
    throw UserError(fmt::format("--part {}: expected I/N with I from 0 to N - 1, such as 0/8",
                                quoted_text(text)));
  }
  return part;
}

/// "points: 37 of 60 (62 %), 4.2 a second, 5 s left".
class SweepProgress {
 public:
  explicit SweepProgress(bool enabled) : line_("points", enabled) {}

  void update(const SweepTally& tally) {
    const std::chrono::duration<double> elapsed = Clock::now() - start_;
    const std::chrono::duration<double> since = Clock::now() - shown_;
    if (elapsed.count() < 2.0 || since.count() < 0.1) {
      return;
    }
    shown_ = Clock::now();
    const double rate = static_cast<double>(tally.done) / elapsed.count();
    const auto left = static_cast<double>(tally.total - tally.decided());
    line_.stage(
        fmt::format("{} of {} ({:.0f} %), {:.3g} a second, {:.0f} s left",
                    tally.decided(),
                    tally.total,
                    100.0 * static_cast<double>(tally.decided()) / static_cast<double>(tally.total),
                    rate,
                    left / rate));
  }

 private:
  using Clock = std::chrono::steady_clock;
  Progress line_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_;
};

fs::path store_of(const SweepOptions& options) {
  return options.store.empty() ? fs::path(options.study.stem().string() + ".sqlite")
                               : options.store;
}

SweepPlan make_plan(const SweepOptions& options, PointSimulator& simulator) {
  const StudyFile study = read_study(options.study);
  Progress progress("reading points", !options.quiet);
  SweepPlan plan =
      plan_sweep(study, simulator, [&](int done, int total) { progress.update(done, total); });
  if (options.stop && plan.refused > 0) {
    for (std::size_t i = 0; i < plan.points.size(); ++i) {
      if (plan.points[i].key.empty()) {
        throw UserError(fmt::format("point {} is refused:\n{}", i, plan.points[i].message));
      }
    }
  }
  return plan;
}

void print_list(const SweepPlan& plan) {
  ResultTable table;
  table.columns = {"point"};
  table.columns.insert(table.columns.end(), plan.study.keys.begin(), plan.study.keys.end());
  table.columns.emplace_back("message");
  for (std::size_t i = 0; i < plan.points.size(); ++i) {
    std::vector<Scalar>& row = table.rows.emplace_back(table.columns.size());
    row.front() = static_cast<std::int64_t>(i);
    row.back() = plan.points[i].message.empty() ? Scalar() : Scalar(plan.points[i].message);
    for (const auto& [key, value] : plan.points[i].settings) {
      const auto at = std::find(table.columns.begin(), table.columns.end(), key);
      row[static_cast<std::size_t>(at - table.columns.begin())] = value;
    }
  }
  print(results_text(table, table.rows.size()));
  print_error(fmt::format("{} points, {} scenarios to simulate, {} refused\n",
                          plan.points.size(),
                          plan.work.size(),
                          plan.refused));
}

/// What a worker is sent, and what it makes of it.
std::string work_text(const SweepWork& work, const std::vector<std::string>& metrics) {
  const Json json = {
      {"key", work.key}, {"metrics", metrics}, {"scenario", resolved_toml(work.scenario)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Evaluation evaluate_text(PointSimulator& simulator, const std::string& text) {
  const Json json = Json::parse(text);
  const Scenario scenario = load_resolved(json.at("scenario").get<std::string>(), "a point");
  if (simulator.key(scenario) != json.at("key").get<std::string>()) {
    throw EnvironmentError(
        "this process does not see the scenario that process 0 sent: another version of moesim, "
        "or other data files");
  }
  return simulator.evaluate(scenario, json.at("metrics").get<std::vector<std::string>>());
}

/// The part of the work that is this run's.
std::vector<std::size_t> chosen_work(const SweepPlan& plan, const Part& part) {
  std::vector<std::size_t> chosen;
  for (std::size_t i = part.number; i < plan.work.size(); i += part.of) {
    chosen.push_back(i);
  }
  return chosen;
}

std::vector<std::string> keys_of(const SweepPlan& plan, const std::vector<std::size_t>& chosen) {
  std::vector<std::string> keys;
  keys.reserve(chosen.size());
  for (const std::size_t i : chosen) {
    keys.push_back(plan.work[i].key);
  }
  return keys;
}

/// A point's evaluation; what ends the whole sweep says at which point it did.
Evaluation evaluate_work(PointSimulator& simulator,
                         const SweepWork& work,
                         const std::vector<std::string>& metrics) {
  try {
    return simulator.evaluate(work.scenario, metrics);
  } catch (const EnvironmentError& error) {
    throw EnvironmentError(fmt::format("point {}: {}", work.point, error.what()));
  } catch (const std::logic_error& error) {
    throw std::logic_error(fmt::format("point {}: {}", work.point, error.what()));
  }
}

SweepTally run_queue(const SweepOptions& options,
                     const SweepPlan& plan,
                     PointSimulator& simulator,
                     ResultStore& store,
                     MpiWorld* world) {
  const std::vector<std::size_t> chosen = chosen_work(plan, parse_part(options.part));
  std::vector<std::string> keys = keys_of(plan, chosen);
  if (options.again) {
    store.forget(keys);
  }
  SweepQueue queue(store, std::move(keys));
  SweepProgress progress(!options.quiet);
  const auto work = [&](std::size_t index) -> const SweepWork& { return plan.work[chosen[index]]; };
  const Evaluate evaluate = [&](std::size_t index) {
    return evaluate_work(simulator, work(index), plan.study.metrics);
  };
  SweepControl control{.threads = options.threads,
                       .stop_at_refusal = options.stop,
                       .cancelled = &interrupted(),
                       .on_progress = [&](const SweepTally& tally) { progress.update(tally); }};
  try {
    if (world != nullptr) {
      control.threads = std::max(control.threads, 1);
      const auto text_of = [&](std::size_t index) {
        return work_text(work(index), plan.study.metrics);
      };
      run_sweep(queue, evaluate, text_of, *world, control);
    } else {
      run_sweep(queue, evaluate, control);
    }
  } catch (const Cancelled&) {
    // What is done is kept; finish() says so.
  }
  return queue.tally();
}

void finish(const SweepOptions& options,
            const SweepPlan& plan,
            const ResultStore& store,
            const SweepTally& tally) {
  constexpr std::size_t kMostRows = 40;
  const fs::path file = store_of(options);
  if (interrupted()) {
    throw Interrupted(
        fmt::format("interrupted; {} of {} points are in {}, the same command goes on from there",
                    tally.decided(),
                    tally.total,
                    file.string()));
  }
  const ResultTable table = query_results(store, plan.study, {});
  if (options.stop) {
    const auto state = std::find(table.columns.begin(), table.columns.end(), "state");
    for (const std::vector<Scalar>& row : table.rows) {
      if (to_text(row[static_cast<std::size_t>(state - table.columns.begin())]) == "refused") {
        throw UserError(
            fmt::format("point {} is refused:\n{}", to_text(row.front()), to_text(row.back())));
      }
    }
  }
  if (!options.out.empty()) {
    write_result_table(options.out, plan.study.name, table);
  }
  print(options.json ? results_json(plan.study.name, table) : results_text(table, kMostRows));
  print_error(fmt::format("{} points, {} scenarios: {} simulated, {} known before; store: {}\n",
                          plan.points.size(),
                          plan.work.size(),
                          tally.done,
                          tally.known,
                          file.string()));
  if (!options.out.empty() && !options.quiet) {
    print_error(results_line(options.out, "results.json"));
  }
}

void manage(const SweepOptions& options, MpiWorld* world) {
  std::optional<PointSimulator> simulator(std::in_place);
  std::optional<ResultStore> store;
  SweepPlan plan;
  try {
    (void)parse_part(options.part);  // a mistake of the command line is said once, by process 0
    plan = make_plan(options, *simulator);
    if (!options.list) {
      store.emplace(store_of(options), ResultStore::Mode::kWrite);
      store->enter(plan.study, plan.points);
      for (const fs::path& other : options.from) {
        const int taken = store->take_over(other);
        print_error(fmt::format("{}: {} results taken over\n", other.string(), taken));
      }
    }
  } catch (...) {
    if (world != nullptr) {
      dismiss_workers(*world);
    }
    throw;
  }
  if (options.list) {
    if (world != nullptr) {
      dismiss_workers(*world);
    }
    print_list(plan);
    return;
  }
  const SweepTally tally = run_queue(options, plan, *simulator, *store, world);
  finish(options, plan, *store, tally);
}

void run(const SweepOptions& options) {
  watch_for_interrupt();
  if (launched_processes() == 1) {
    manage(options, nullptr);
    return;
  }
  MpiWorld world;
  if (world.rank() == 0) {
    manage(options, &world);
    return;
  }
  PointSimulator simulator;
  serve_sweep(
      world,
      [&](const std::string& text) { return evaluate_text(simulator, text); },
      interrupted());
}

}  // namespace

void add_sweep_command(CLI::App& app) {
  auto options = std::make_shared<SweepOptions>();
  CLI::App* command = app.add_subcommand(
      "sweep", "A scenario under many settings, into a result store: resumable, threads, MPI");
  command->add_option("study", options->study, "study file (TOML; keys: docs/sweep.md)")
      ->required()
      ->type_name("STUDY");
  command
      ->add_option("--store",
                   options->store,
                   "result store (SQLite); default: the study's name with .sqlite, here")
      ->type_name("FILE");
  command
      ->add_option(
          "--from", options->from, "take over the results of another store; may be repeated")
      ->type_name("STORE")
      ->allow_extra_args(false);
  command->add_option("--part", options->part, "only every N-th scenario from the I-th on, from 0")
      ->type_name("I/N");
  command->add_flag("--list", options->list, "show the points and do nothing");
  command->add_flag("--again", options->again, "simulate also what the store knows");
  command->add_flag("--stop", options->stop, "end with code 2 at a point that cannot run");
  command
      ->add_option("--threads",
                   options->threads,
                   "points at a time, 0: one a core; of each MPI process: threads of its point")
      ->type_name("N")
      ->check(CLI::Range(0, 4096));
  command->add_flag(
      "--json", options->json, "one JSON document on standard output, all else on standard error");
  command->add_flag("-q,--quiet", options->quiet, "no progress");
  command
      ->add_option(
          "--out", options->out, "write report.html, results.csv and results.json into this folder")
      ->type_name("DIR");
  command->footer(
      "Example: moesim sweep scenarios/studies/top_k.toml --store out/top_k.sqlite\n"
      "Killed or interrupted, the same command goes on where it was. mpirun -n N moesim sweep ...\n"
      "shares the points among N processes.");
  command->callback([options] { run(*options); });
}

}  // namespace moesim::cli
