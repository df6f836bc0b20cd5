// SPDX-License-Identifier: Apache-2.0
// The kit as a command: its options, and what `moesim measure` and the stand-alone program share.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpu_ref/measure/runner.hpp"
#include "gpu_ref/measure/sweep.hpp"

namespace moesim::measure {

/// Options; the comments are the manual.
struct MeasureOptions {
  std::string file = "measurement.jsonl";  ///< raw file; an existing one is gone on with
  bool full = false;                       ///< the whole grid, not the default selection
  double budget_s = 0;                     ///< wall time; 0: 480 s, and none with full
  std::vector<std::string> only{};         ///< kinds; empty: all
  std::string trace{};                     ///< expert_load.csv to replay; empty: the built-in one
  int gpu = 0;                             ///< index of the GPU that is measured
  bool fresh = false;                      ///< refuse an existing file
  bool list = false;   ///< print the cases and their expected time, measure nothing
  bool quiet = false;  ///< no progress
  bool help = false;
  bool version = false;
};

/// Of the words behind the program's name. Throws KitMistake.
[[nodiscard]] MeasureOptions parse_options(std::span<const std::string_view> words);
[[nodiscard]] std::string_view usage();

/// Seconds, or std::numeric_limits<double>::infinity().
[[nodiscard]] double budget_of(const MeasureOptions& options);

/// "a,b,c" as words; empty ones left out.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text);

/// Cases, memory and expected time by tier and kind; runs without a GPU.
[[nodiscard]] std::string list_text(const std::vector<Case>& cases);

/// "[ 312/2418] 1m02s grouped_gemm/...: 41.2 us +-0.6 %".
[[nodiscard]] std::string progress_text(const Progress& progress);

/// "2,400 measured, 12 skipped, ... in FILE", one line a fact.
[[nodiscard]] std::string result_text(const RunnerResult& result, const MeasureOptions& options);

/// Which of several processes this one is, from SLURM_* or OMPI_*; one of one without them.
struct ProcessGroup {
  int rank = 0;
  int size = 1;
  int local_rank = 0;
  std::string name;  ///< of the job: the same for all its processes and no other job's
};
/// @param environment value of a variable, "" if unset
/// Throws KitMistake when a variable is no number or the rank is not below the size.
[[nodiscard]] ProcessGroup process_group(
    const std::function<std::string(const std::string&)>& environment);
/// The same of the process's own environment.
[[nodiscard]] ProcessGroup process_group();

/// The GPUs of this machine, ready to be measured. Throws std::runtime_error "no NVIDIA GPU ..."
/// where there is none, before any other work.
struct BenchOptions {
  int gpu = 0;
  ProcessGroup group;
  std::string meeting_file;  ///< where the processes of a group find each other
};
struct OpenBench {
  std::unique_ptr<Bench> bench;
  int ranks = 1;  ///< GPUs that collectives run over
};
[[nodiscard]] OpenBench open_bench(const BenchOptions& options);

struct MeasureHooks {
  std::function<void(const Progress&)> on_progress{};
  const std::atomic<bool>* interrupted = nullptr;
  std::string version{};
};

/// The cases of the options; `ranks` as in SweepOptions.
[[nodiscard]] std::vector<Case> cases_of(const MeasureOptions& options, int ranks, int processes);

/// Opens the GPU, makes the sweep and runs it.
[[nodiscard]] RunnerResult measure(const MeasureOptions& options, const MeasureHooks& hooks);

/// Commit of the source tree the program was built from, "unknown" if it was none.
[[nodiscard]] std::string_view source_commit();

}  // namespace moesim::measure
