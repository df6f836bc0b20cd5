// SPDX-License-Identifier: Apache-2.0
// `moesim network-bench`: one uneven all-to-all on a chosen fabric and engine.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/cli/network_bench.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/report/table.hpp"

namespace moesim::cli {
namespace {

struct CommandOptions {
  BenchOptions bench;
  bool json = false;
  bool quiet = false;
  std::filesystem::path out;
};

std::string as_json(const BenchOptions& options, const BenchResult& result) {
  const nlohmann::ordered_json json = {
      {"format", "moesim-network-bench"},
      {"gpus", options.gpus},
      {"engine", options.engine},
      {"fabric", options.fabric},
      {"sizes", options.sizes},
      {"skew", options.skew},
      {"aggregated", options.aggregated},
      {"seed", options.seed},
      {"latency_us", options.latency_us},
      {"stagger", options.stagger},
      {"tolerance", options.tolerance},
      {"window_s", result.window.value},
      {"makespan_s", result.makespan.value},
      {"bound_s", result.bound.value},
      {"makespan_over_bound_ratio", result.makespan / result.bound},
      {"flows", result.flows},
      {"parts", result.parts},
      {"events", result.events},
      {"post_cpu_s", result.post_cpu_s},
      {"engine_cpu_s", result.engine_cpu_s},
      {"engine_wall_s", result.engine_wall_s},
      {"engine_rss_bytes", result.engine_rss_bytes},
      {"peak_rss_bytes", result.peak_rss_bytes}};
  return json.dump(2) + "\n";
}

std::string as_text(const BenchOptions& options, const BenchResult& result) {
  return table({"uneven all-to-all",
                fmt::format("{} GPUs, {}, {}", options.gpus, options.fabric, options.engine)},
               {{"makespan", readable_time(result.makespan.value)},
                {"bound", readable_time(result.bound.value)},
                {"makespan / bound", fmt::format("{:.6f}", result.makespan / result.bound)},
                {"flows", fmt::format("{}", result.flows)},
                {"events", fmt::format("{}", result.events)},
                {"held back at most", readable_time(result.window.value)},
                {"engine CPU", readable_time(result.engine_cpu_s)},
                {"peak memory", readable_bytes(static_cast<double>(result.peak_rss_bytes))}});
}

BenchResult measured(const CommandOptions& options) {
  Progress progress("flows", !options.quiet);
  return run_network_bench(
      options.bench, [&](std::int64_t done, std::int64_t total) { progress.update(done, total); });
}

void add_workload_options(CLI::App& command, BenchOptions& options) {
  command.add_option("--gpus", options.gpus, "GPUs, in nodes of 8 (star: single)")
      ->type_name("G")
      ->check(CLI::Range(2, 16384))
      ->capture_default_str();
  command
      .add_option("--fabric", options.fabric, "star, rail (with scale-up forwarding) or fat_tree")
      ->check(CLI::IsMember({"star", "rail", "fat_tree"}))
      ->capture_default_str();
  command
      .add_option("--sizes", options.sizes, "tok: whole tokens, jit: all distinct, uni: all equal")
      ->check(CLI::IsMember({"tok", "jit", "uni"}))
      ->capture_default_str();
  command.add_option("--skew", options.skew, "Zipf exponent of the experts, 0: balanced")
      ->type_name("Z")
      ->check(CLI::Range(0.0, 4.0))
      ->capture_default_str();
  command.add_flag(
      "--aggregated", options.aggregated, "messages per (source node, destination GPU)");
  command.add_option("--latency", options.latency_us, "latency of every path, microseconds")
      ->type_name("US")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option(
          "--stagger", options.stagger, "start flows at random within this share of the bound")
      ->type_name("S")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "random seed")->type_name("N")->capture_default_str();
}

void add_engine_options(CLI::App& command, BenchOptions& options) {
  command.add_option("--engine", options.engine, "fluid, message, simgrid or bound (closed form)")
      ->check(CLI::IsMember({"fluid", "message", "simgrid", "bound"}))
      ->capture_default_str();
  command
      .add_option("--tolerance",
                  options.tolerance,
                  "fluid: finish times may be late by this share of the makespan, 0: exact")
      ->type_name("T")
      ->check(CLI::Range(0.0, 0.5))
      ->capture_default_str();
  command
      .add_option("--chunk", options.chunk_bytes, "message: bytes of a chunk, 0: whole messages")
      ->type_name("B")
      ->check(CLI::Range(0.0, 1e12))
      ->capture_default_str();
  command.add_option("--repeat", options.repeat, "runs; the least CPU time is told")
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--threads", options.threads, "threads for parts that share no link, 0: all")
      ->type_name("N")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--finish-times", options.finish_times, "write the finish of each flow (CSV)")
      ->type_name("FILE");
}

void add_output_options(CLI::App& command, CommandOptions& options) {
  command.add_flag("--json", options.json, "one JSON document on standard output");
  command.add_option("--out", options.out, "write network-bench.json into this folder")
      ->type_name("DIR");
  command.add_flag("-q,--quiet", options.quiet, "no progress");
}

}  // namespace

void add_network_bench_command(CLI::App& app) {
  auto options = std::make_shared<CommandOptions>();
  CLI::App* command = app.add_subcommand(
      "network-bench",
      "One uneven all-to-all: result, bound, events, CPU time and memory of an engine");
  add_workload_options(*command, options->bench);
  add_engine_options(*command, options->bench);
  add_output_options(*command, *options);
  command->footer(
      "4096 tokens a GPU, top-8 of 4 experts a GPU, 7168 B a copy.\n"
      "Example: moesim network-bench --gpus 64 --engine fluid --fabric rail --seed 1");
  command->callback([options] {
    const BenchResult result = measured(*options);
    if (!options->out.empty()) {
      write_file_atomically(options->out / "network-bench.json", as_json(options->bench, result));
    }
    print(options->json ? as_json(options->bench, result) : as_text(options->bench, result));
  });
}

}  // namespace moesim::cli
