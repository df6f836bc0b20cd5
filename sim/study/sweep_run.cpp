// SPDX-License-Identifier: Apache-2.0
#include "sim/study/sweep_run.hpp"

#include <tbb/task_arena.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "sim/step/replay.hpp"
#include "sim/study/sweep_crew.hpp"

namespace moesim {
namespace {

using namespace std::chrono_literals;

}  // namespace

int threads_of(int wanted) {
  return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

SweepCrew::SweepCrew(SweepQueue& queue,
                     const Evaluate& evaluate,
                     const SweepControl& control,
                     int workers,
                     int threads_each)
    : queue_(queue), evaluate_(evaluate), control_(control), at_work_(workers) {
  for (int i = 0; i < workers; ++i) {
    threads_.emplace_back([this, threads_each] { work(threads_each); });
  }
}

SweepCrew::~SweepCrew() {
  join();
}

void SweepCrew::join() {
  for (std::thread& thread : threads_) {
    if (thread.joinable()) {
      thread.join();
    }
  }
}

void SweepCrew::finish() {
  join();
  if (failure_) {
    std::rethrow_exception(failure_);
  }
}

void SweepCrew::work(int threads_each) noexcept {
  try {
    work_off(threads_each);
  } catch (...) {
    queue_.stop();
    const std::scoped_lock lock(mutex_);
    failure_ = failure_ ? failure_ : std::current_exception();
  }
  --at_work_;
}

void SweepCrew::work_off(int threads_each) {
  while (!is_cancelled()) {
    const SweepQueue::Next next = queue_.next();
    if (next.kind == SweepQueue::Kind::kNone) {
      return;
    }
    if (next.kind == SweepQueue::Kind::kWait) {
      std::this_thread::sleep_for(50ms);
    } else {
      simulate(next.index, threads_each);
    }
  }
}

void SweepCrew::simulate(std::size_t index, int threads_each) {
  const auto start = std::chrono::steady_clock::now();
  std::optional<Evaluation> result;
  try {
    // An arena of its own: a point's inner loops neither wait for nor take part in another's.
    tbb::task_arena arena(threads_each);
    arena.execute([&] { result = evaluate_(index); });
  } catch (...) {
    queue_.give_back(index);
    throw;
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  enter(index, *result, taken.count());
}

void SweepCrew::enter(std::size_t index, const Evaluation& result, double seconds) {
  queue_.finish(index, result, seconds);
  if (result.refused && control_.stop_at_refusal) {
    queue_.stop();
  }
  const std::scoped_lock lock(mutex_);
  if (control_.on_progress) {
    control_.on_progress(queue_.tally());
  }
}

void run_sweep(SweepQueue& queue, const Evaluate& evaluate, const SweepControl& control) {
  const int threads = threads_of(control.threads);
  const int points = static_cast<int>(std::min<std::size_t>(queue.keys().size(), 1U << 16U));
  const int workers = std::clamp(points, 1, threads);
  SweepCrew crew(queue, evaluate, control, workers, threads / workers);
  crew.finish();
}

}  // namespace moesim
