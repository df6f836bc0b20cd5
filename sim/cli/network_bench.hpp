// SPDX-License-Identifier: Apache-2.0
// What `moesim network-bench` measures, apart from its options and output.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sim/core/units.hpp"

namespace moesim::cli {

struct BenchOptions {
  int gpus = 64;
  std::string engine = "fluid";
  std::string fabric = "rail";
  std::string sizes = "tok";
  double skew = 0.5;
  bool aggregated = false;
  std::uint64_t seed = 1;
  double latency_us = 0.0;   ///< of every path
  double stagger = 0.0;      ///< flows start at random within this share of the bound
  double tolerance = 0.0;    ///< fluid: share of the bound; 0: exact
  double chunk_bytes = 0.0;  ///< message: 0: whole messages
  int repeat = 1;            ///< the least CPU time counts
  int threads = 0;           ///< 0: one per core
  std::string finish_times;  ///< file for the finish of each flow, empty: none
};

struct BenchResult {
  Seconds makespan;
  Seconds bound;
  Seconds window;  ///< fluid: how long a drained flow could hold its share
  std::int64_t flows = 0;
  std::int64_t parts = 1;
  std::int64_t events = 0;
  double post_cpu_s = 0.0;    ///< handing the flows to the engine, where it can be told apart
  double engine_cpu_s = 0.0;  ///< from there to the last finish
  double engine_wall_s = 0.0;
  std::int64_t engine_rss_bytes = 0;  ///< how much the peak grew while the engine ran
  std::int64_t peak_rss_bytes = 0;
};

/// Builds the workload and runs it on the engine. Our engines tell how far they are, and
/// Ctrl-C ends them with Cancelled; elsewhere it ends the process.
[[nodiscard]] BenchResult run_network_bench(
    const BenchOptions& options,
    const std::function<void(std::int64_t done, std::int64_t total)>& on_flows = {});

}  // namespace moesim::cli
