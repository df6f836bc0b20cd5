// SPDX-License-Identifier: Apache-2.0
// Runs a sweep: case after case into the raw file, within a budget, with progress, resumable.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "gpu_ref/measure/case.hpp"
#include "gpu_ref/measure/record.hpp"

namespace moesim::measure {

/// What measures. The real one needs a GPU; tests bring one with made-up times.
class Bench {
 public:
  Bench() = default;
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  virtual ~Bench() = default;

  [[nodiscard]] virtual DeviceIdentity identity() = 0;
  [[nodiscard]] virtual Clocks clocks() = 0;
  /// Samples of one case. Throws CaseSkipped where this device or library has no such operation or
  /// not the memory; any other exception ends the sweep.
  [[nodiscard]] virtual Timing measure(const Case& c, const StopRule& rule) = 0;
  /// What the first process of a group decides; called by all of them in the same order.
  [[nodiscard]] virtual int agree(int decision) { return decision; }
};

/// Time as the runner sees it; tests bring their own.
struct WallClock {
  std::function<double()> seconds;        ///< monotonic
  std::function<std::string()> utc_text;  ///< "2026-11-25T03:09:16Z"
};
[[nodiscard]] WallClock system_clock();

struct Progress {
  int done = 0;   ///< of this run and the runs before it
  int total = 0;  ///< cases of the sweep
  double elapsed_s = 0;
  std::string key;      ///< the case just done
  std::string outcome;  ///< "41.2 us +-0.6 %" or why it was skipped
};

struct RunnerOptions {
  std::string file;
  double budget_s = 480;  ///< no case is begun that is expected to end beyond it
  bool fresh = false;     ///< refuse an existing file instead of going on with it
  StopRule rule{};
  std::string version{};
  std::string commit{};
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(const Progress&)> on_progress{};
  bool writes = true;  ///< false on all processes of a group but the first
};

struct RunnerResult {
  int measured = 0;
  int skipped = 0;   ///< could not run on this device
  int already = 0;   ///< were in the file
  int left_out = 0;  ///< no time was left
  bool interrupted = false;
};

/// Measures every case that the file lacks. Expected times are corrected by the times that cases
/// of this run took against their estimates, so a slower device stops early enough too.
/// Throws KitMistake when the file is of another GPU or exists and options.fresh.
[[nodiscard]] RunnerResult run_sweep(const std::vector<Case>& cases,
                                     Bench& bench,
                                     const WallClock& clock,
                                     const RunnerOptions& options);

}  // namespace moesim::measure
