// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/network_bench.hpp"

#include <fmt/core.h>
#include <sys/resource.h>
#include <tbb/global_control.h>
#include <time.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "sim/cli/console.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/rng.hpp"
#include "sim/network/batch_parts.hpp"
#include "sim/network/simgrid_batch.hpp"
#include "sim/network/workload.hpp"
#include "sim/step/replay.hpp"
#include "topology/builders.hpp"
#include "topology/paths.hpp"

namespace moesim::cli {
namespace {

double clock_seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

/// star: every GPU on one ideal switch at 50 GB/s. rail and fat_tree: nodes of 8 GPUs with 450 GB/s
/// scale-up and one 50 GB/s NIC a GPU; a rail leaf serves 32 nodes, a fat-tree leaf 4.
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

/// The flows of one all-to-all and what they run on.
struct Bench {
  std::vector<BytesPerSecond> capacity;
  std::vector<PairBytes> pairs;
  std::vector<BatchFlow> flows;
  Seconds bound;
};

Bench make_bench(const BenchOptions& options) {
  static const std::map<std::string, WorkloadSizes> kSizes = {{"tok", WorkloadSizes::kTokens},
                                                              {"jit", WorkloadSizes::kDistinct},
                                                              {"uni", WorkloadSizes::kUniform}};
  const Cluster cluster = build_cluster(bench_cluster(options));
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
  Bench bench;
  bench.capacity = usable_capacities(cluster);
  bench.pairs = make_workload(spec);
  bench.flows = to_batch(bench.pairs, path, microseconds(options.latency_us));
  bench.bound = makespan_bound(bench.capacity, bench.flows);
  if (options.stagger > 0.0) {
    RngStream rng(options.seed, "network-bench starts");
    for (BatchFlow& flow : bench.flows) {
      flow.start = ticks(rng.uniform01() * options.stagger * bench.bound);
    }
    bench.bound = makespan_bound(bench.capacity, bench.flows);
  }
  return bench;
}

SimTime first_start(const Bench& bench) {
  SimTime first = SimTime::never();
  for (const BatchFlow& flow : bench.flows) {
    first = std::min(first, flow.start);
  }
  return first;
}

using OnFlows = std::function<void(std::int64_t, std::int64_t)>;

void run_ours(const BenchOptions& options,
              const Bench& bench,
              const OnFlows& on_flows,
              BenchResult& result,
              std::vector<SimTime>& finish) {
  watch_for_interrupt();
  NetworkSettings settings;
  if (options.engine == "message") {
    settings.engine = NetworkEngine::kMessage;
    settings.chunk = options.chunk_bytes > 0.0 ? bytes(options.chunk_bytes) : settings.chunk;
  } else {
    settings.window = tolerance_window(options.tolerance, bench.bound);
    result.window = settings.window.to_seconds();
  }
  for (int i = 0; i < options.repeat; ++i) {
    const double start = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    PartedBatch batch(settings, bench.capacity, bench.flows);
    const double posted = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const double wall = clock_seconds(CLOCK_MONOTONIC);
    const BatchControl control{.cancelled = &interrupted(), .on_progress = [&](std::int64_t n) {
                                 if (on_flows) {
                                   on_flows(i * result.flows + n, options.repeat * result.flows);
                                 }
                               }};
    BatchResult done = batch.run(control);
    if (interrupted()) {
      throw Cancelled();
    }
    const double end = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const double wall_s = clock_seconds(CLOCK_MONOTONIC) - wall;
    if (i == 0 || end - posted < result.engine_cpu_s) {
      result.engine_cpu_s = end - posted;
      result.post_cpu_s = posted - start;
    }
    result.engine_wall_s = i == 0 ? wall_s : std::min(result.engine_wall_s, wall_s);
    result.parts = static_cast<std::int64_t>(batch.num_parts());
    result.events = done.events;
    finish = std::move(done.finish);
  }
}

void run_simgrid(const BenchOptions& options,
                 const Bench& bench,
                 BenchResult& result,
                 std::vector<SimTime>& finish) {
  for (int i = 0; i < options.repeat; ++i) {
    SimGridRun run =
        run_on_simgrid(bench.capacity,
                       bench.flows,
                       bench.pairs,
                       options.aggregated ? SimGridUpdates::kLazy : SimGridUpdates::kFull);
    if (i == 0 || run.run_cpu_s < result.engine_cpu_s) {
      result.engine_cpu_s = run.run_cpu_s;
      result.post_cpu_s = run.post_cpu_s;
    }
    result.engine_rss_bytes = run.peak_rss_bytes;
    finish = std::move(run.finish);
  }
}

void write_finish_times(const BenchOptions& options,
                        const Bench& bench,
                        const std::vector<SimTime>& finish) {
  std::string text = "source,target,bytes,finish_ps\n";
  for (std::size_t f = 0; f < finish.size(); ++f) {
    text += fmt::format("{},{},{},{}\n",
                        bench.pairs[f].source.value,
                        bench.pairs[f].target.value,
                        bench.pairs[f].bytes.value,
                        finish[f].picoseconds);
  }
  write_file_atomically(options.finish_times, text);
}

}  // namespace

BenchResult run_network_bench(const BenchOptions& options, const OnFlows& on_flows) {
  std::optional<tbb::global_control> limit;
  if (options.threads > 0) {
    limit.emplace(tbb::global_control::max_allowed_parallelism,
                  static_cast<std::size_t>(options.threads));
  }
  const Bench bench = make_bench(options);
  BenchResult result;
  result.flows = static_cast<std::int64_t>(bench.flows.size());
  result.bound = bench.bound;
  result.makespan = result.bound;
  const std::int64_t rss = peak_rss_bytes();
  std::vector<SimTime> finish;
  if (options.engine == "bound") {
    const double before = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    result.bound = makespan_bound(bench.capacity, bench.flows);
    result.engine_cpu_s = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - before;
  } else if (options.engine == "simgrid") {
    run_simgrid(options, bench, result, finish);
  } else {
    run_ours(options, bench, on_flows, result, finish);
    result.engine_rss_bytes = peak_rss_bytes() - rss;
  }
  if (!finish.empty()) {
    const SimTime last = *std::max_element(finish.begin(), finish.end());
    result.makespan = (last - first_start(bench)).to_seconds();
  }
  if (!options.finish_times.empty()) {
    write_finish_times(options, bench, finish);
  }
  result.peak_rss_bytes = std::max(peak_rss_bytes(), result.engine_rss_bytes);
  return result;
}

}  // namespace moesim::cli
