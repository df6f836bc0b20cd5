// SPDX-License-Identifier: Apache-2.0
// Works off a sweep's queue with threads and, in an MPI job, with the other processes.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "sim/study/mpi_world.hpp"
#include "sim/study/sweep_queue.hpp"

namespace moesim {

/// What a point gives. From any thread; a refusal is a result. Throws Cancelled (replay.hpp) when
/// interrupted, anything else when the sweep must end.
using Evaluate = std::function<Evaluation(std::size_t index)>;

struct SweepControl {
  int threads = 0;  ///< at work at the same time, 0: all cores; a point gets those left over
  bool stop_at_refusal = false;
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(const SweepTally&)> on_progress = {};  ///< one call at a time; may be empty
};

/// Until nothing is left, cancelled is set or a point throws: then what is under way is given back.
void run_sweep(SweepQueue& queue, const Evaluate& evaluate, const SweepControl& control);

/// The same in process 0 of an MPI job: one point at a time here, the others by the workers.
/// @param text_of  what a worker is sent for a point
void run_sweep(SweepQueue& queue,
               const Evaluate& evaluate,
               const std::function<std::string(std::size_t index)>& text_of,
               MpiWorld& world,
               const SweepControl& control);

/// Process 1 and up of an MPI job: evaluates the texts it is sent, until told to stop or cancelled.
void serve_sweep(MpiWorld& world,
                 const std::function<Evaluation(const std::string& text)>& evaluate,
                 const std::atomic<bool>& cancelled);

/// Sends every worker home; for a sweep that ends before run_sweep.
void dismiss_workers(MpiWorld& world);

}  // namespace moesim
