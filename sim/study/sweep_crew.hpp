// SPDX-License-Identifier: Apache-2.0
// Threads of this process that work off a sweep's queue; used by sweep_run.cpp and sweep_mpi.cpp.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "sim/study/sweep_run.hpp"

namespace moesim {

class SweepCrew {
 public:
  /// Starts `workers` threads, each with `threads_each` for a point.
  SweepCrew(SweepQueue& queue,
            const Evaluate& evaluate,
            const SweepControl& control,
            int workers,
            int threads_each);
  /// Waits for them.
  ~SweepCrew();
  SweepCrew(const SweepCrew&) = delete;
  SweepCrew& operator=(const SweepCrew&) = delete;

  /// Waits for them; throws what ended one of them.
  void finish();
  [[nodiscard]] bool is_at_work() const { return at_work_.load() > 0; }

  /// A result that came in, here or from elsewhere.
  void enter(std::size_t index, const Evaluation& result, double seconds);
  [[nodiscard]] bool is_cancelled() const {
    return control_.cancelled != nullptr && control_.cancelled->load();
  }

 private:
  void work(int threads_each) noexcept;
  void work_off(int threads_each);
  void simulate(std::size_t index, int threads_each);
  void join();

  SweepQueue& queue_;
  const Evaluate& evaluate_;
  const SweepControl& control_;
  std::mutex mutex_;  ///< of progress and failure
  std::exception_ptr failure_;
  std::atomic<int> at_work_{0};
  std::vector<std::thread> threads_;
};

/// Threads that `wanted` means: 0 all cores.
[[nodiscard]] int threads_of(int wanted);

}  // namespace moesim
