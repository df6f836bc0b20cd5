// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/gpu_timer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "gpu_ref/measure/gpu_fill.hpp"

namespace moesim::measure {
namespace {

constexpr std::int64_t kLeastFlushBytes = std::int64_t{8} << 20;
constexpr int kWarmupSamples = 3;
constexpr double kWaitBase = 30e-6;       ///< the two events, slow first calls
constexpr double kWaitPerLaunch = 10e-6;  ///< a host launches in 2 to 5 us
constexpr double kTenth = 1e10;           ///< samples are kept to 0.1 ns; events resolve 500 ns

}  // namespace

double host_time() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

GpuTimer::GpuTimer(std::int64_t l2_bytes)
    : flush_(static_cast<std::size_t>(std::max(2 * l2_bytes, kLeastFlushBytes))) {}

void GpuTimer::flush() {
  flush_.fill(++flushes_ & 0xff, stream_.handle());
}

double GpuTimer::once(const std::function<void()>& run, double launches, bool flush_first) {
  if (flush_first) {
    flush();
  }
  hold(kWaitBase + kWaitPerLaunch * launches, stream_.handle());
  begin_.record(stream_.handle());
  run();
  end_.record(stream_.handle());
  end_.wait();
  return end_.since(begin_).value;
}

Timing GpuTimer::sample(const TimedOperation& operation, L2State l2, const StopRule& rule) {
  const auto runs = [&] {
    for (int i = 0; i < operation.repeats; ++i) {
      operation.run();
    }
  };
  const auto one = [&] {
    if (l2 == L2State::kWarm) {
      operation.run();
    }
    const double all = once(runs, operation.launches * operation.repeats, l2 == L2State::kCold);
    return std::round(all / operation.repeats / operation.per_run * kTenth) / kTenth;
  };
  Timing timing;
  timing.warmup = kWarmupSamples;
  timing.repeats = operation.repeats * operation.per_run;
  for (int i = 0; i < kWarmupSamples; ++i) {
    (void)one();
  }
  stream_.wait();
  const double begin = host_time();
  do {
    timing.samples_s.push_back(one());
    timing.stop = stop_now(rule, timing.samples_s, host_time() - begin);
  } while (timing.stop == StopReason::kGoOn);
  return timing;
}

}  // namespace moesim::measure
