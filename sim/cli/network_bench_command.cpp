// SPDX-License-Identifier: Apache-2.0
// `moesim network-bench`: one uneven all-to-all on a chosen fabric and engine.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <algorithm>
#include <map>
#include <memory>

#include "sim/cli/commands.hpp"
#include "sim/cli/console.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/network/network.hpp"
#include "sim/network/workload.hpp"
#include "sim/report/table.hpp"
#include "topology/builders.hpp"
#include "topology/paths.hpp"

namespace moesim::cli {
namespace {

struct BenchOptions {
  int gpus = 64;
  std::string engine = "fluid";
  std::string fabric = "rail";
  std::string sizes = "tok";
  double skew = 0.5;
  bool aggregated = false;
  std::uint64_t seed = 1;
  bool json = false;
  std::filesystem::path out;
};

struct BenchResult {
  Seconds makespan;
  Seconds bound;
  std::int64_t flows = 0;
  std::int64_t events = 0;
  double engine_cpu_s = 0.0;
  std::int64_t peak_rss_bytes = 0;
};

/// User + system CPU seconds of this process and of its ended children (the SimGrid engine).
double cpu_seconds() {
  double sum = 0.0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    sum += static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  }
  return sum;
}

std::int64_t peak_rss_bytes() {
  std::int64_t peak = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    getrusage(who, &usage);
    peak = std::max<std::int64_t>(peak, usage.ru_maxrss * 1024);
  }
  return peak;
}

/// star: every GPU on one ideal switch at 50 GB/s. rail and fat_tree: nodes of 8 GPUs with 450 GB/s
/// scale-up and one 50 GB/s NIC a GPU; a rail leaf serves 32 nodes, a fat-tree leaf 4. No latency.
ClusterSpec bench_cluster(const BenchOptions& options) {
  ClusterSpec spec;
  spec.name = "network-bench " + options.fabric;
  const bool star = options.fabric == "star";
  spec.gpus_per_node = star ? 1 : 8;
  if (options.gpus % spec.gpus_per_node != 0) {
    throw UserError(
        fmt::format("--gpus {}: must be a multiple of 8 on {}", options.gpus, options.fabric));
  }
  spec.nodes = options.gpus / spec.gpus_per_node;
  spec.scale_up.bandwidth = gigabytes_per_second(star ? 0 : 450);
  spec.nic = {.per_node = spec.gpus_per_node,
              .bandwidth = gigabytes_per_second(50),
              .pcie_bandwidth = gigabytes_per_second(450),
              .latency = {}};
  spec.fabric = {.kind = star                       ? FabricKind::kSingleSwitch
                         : options.fabric == "rail" ? FabricKind::kRail
                                                    : FabricKind::kFatTree,
                 .nodes_per_leaf = options.fabric == "rail" ? 32 : 4,
                 .oversubscription = 1.0,
                 .link_bandwidth = gigabytes_per_second(50),
                 .hop_latency = {}};
  return spec;
}

std::vector<BatchFlow> bench_flows(const BenchOptions& options, const Cluster& cluster) {
  static const std::map<std::string, WorkloadSizes> kSizes = {{"tok", WorkloadSizes::kTokens},
                                                              {"jit", WorkloadSizes::kDistinct},
                                                              {"uni", WorkloadSizes::kUniform}};
  WorkloadSpec spec;
  spec.gpus = options.gpus;
  spec.gpus_per_node = options.fabric == "star" ? 1 : 8;
  spec.skew = options.skew;
  spec.sizes = kSizes.at(options.sizes);
  spec.aggregated = options.aggregated;
  spec.seed = options.seed;
  const PathFinder finder(cluster,
                          options.fabric == "rail" ? PathPolicy::kRailAligned : PathPolicy::kEcmp,
                          options.seed);
  const auto path = [&](GpuId source, GpuId target) {
    const auto key = source.index() * cluster.gpus.size() + target.index();
    return finder.find(source, target, key).links;
  };
  return to_batch(make_workload(spec), path, Seconds{});
}

BenchResult measure(const BenchOptions& options) {
  const Cluster cluster = build_cluster(bench_cluster(options));
  const std::vector<BytesPerSecond> capacity = usable_capacities(cluster);
  const std::vector<BatchFlow> flows = bench_flows(options, cluster);
  BenchResult result;
  result.flows = static_cast<std::int64_t>(flows.size());
  double start = cpu_seconds();
  result.bound = makespan_bound(capacity, flows);
  result.makespan = result.bound;
  if (options.engine != "bound") {
    const NetworkEngine engine =
        options.engine == "fluid" ? NetworkEngine::kFluid : NetworkEngine::kSimGrid;
    start = cpu_seconds();
    auto network = make_network(engine, capacity);
    const BatchResult batch = run_batch(*network, flows);
    network.reset();
    result.makespan = std::max_element(batch.finish.begin(), batch.finish.end())->to_seconds();
    result.events = batch.events;
  }
  result.engine_cpu_s = cpu_seconds() - start;
  result.peak_rss_bytes = peak_rss_bytes();
  return result;
}

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
      {"makespan_s", result.makespan.value},
      {"bound_s", result.bound.value},
      {"makespan_over_bound_ratio", result.makespan / result.bound},
      {"flows", result.flows},
      {"events", result.events},
      {"engine_cpu_s", result.engine_cpu_s},
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
                {"engine CPU", readable_time(result.engine_cpu_s)},
                {"peak memory", readable_bytes(static_cast<double>(result.peak_rss_bytes))}});
}

void add_options(CLI::App& command, BenchOptions& options) {
  command.add_option("--gpus", options.gpus, "GPUs, in nodes of 8 (star: single)")
      ->type_name("G")
      ->check(CLI::Range(2, 16384))
      ->capture_default_str();
  command.add_option("--engine", options.engine, "fluid, simgrid or bound (closed form)")
      ->check(CLI::IsMember({"fluid", "simgrid", "bound"}))
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
  command.add_option("--seed", options.seed, "random seed")->type_name("N")->capture_default_str();
  command.add_flag("--json", options.json, "one JSON document on standard output");
  command.add_option("--out", options.out, "write network-bench.json into this folder")
      ->type_name("DIR");
}

}  // namespace

void add_network_bench_command(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand(
      "network-bench",
      "One uneven all-to-all: result, bound, events, CPU time and memory of an engine");
  add_options(*command, *options);
  command->footer(
      "4096 tokens a GPU, top-8 of 4 experts a GPU, 7168 B a copy, no latency.\n"
      "Example: moesim network-bench --gpus 64 --engine fluid --fabric rail --seed 1");
  command->callback([options] {
    const BenchResult result = measure(*options);
    if (!options->out.empty()) {
      write_file_atomically(options->out / "network-bench.json", as_json(*options, result));
    }
    print(options->json ? as_json(*options, result) : as_text(*options, result));
  });
}

}  // namespace moesim::cli
