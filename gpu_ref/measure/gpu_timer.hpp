// SPDX-License-Identifier: Apache-2.0
// Samples of an operation on one stream: flush, wait, event, operation, event.
#pragma once

#include <cstdint>
#include <functional>

#include "gpu_ref/device/buffer.hpp"
#include "gpu_ref/device/stream.hpp"
#include "gpu_ref/measure/record.hpp"

namespace moesim::measure {

/// What is timed. `run` enqueues on the timer's stream and must not wait for it.
struct TimedOperation {
  std::function<void()> run;
  double launches = 1;  ///< kernels and library calls of one run, for the length of the wait
  int repeats = 1;      ///< runs of one sample
  int per_run = 1;      ///< operations of one run (a graph of many)
};

/// Seconds of the host's steady clock.
[[nodiscard]] double host_time();

class GpuTimer {
 public:
  /// On the current device, whose L2 holds `l2_bytes`.
  explicit GpuTimer(std::int64_t l2_bytes);

  [[nodiscard]] gpu_ref::StreamHandle stream() const { return stream_.handle(); }
  void wait() const { stream_.wait(); }

  /// Warms up, then samples until the rule says stop. Seconds of one operation.
  [[nodiscard]] Timing sample(const TimedOperation& operation, L2State l2, const StopRule& rule);

  /// Seconds of one run of `run` alone, after a flush (cold) or at once, behind a wait long enough
  /// for `launches`.
  [[nodiscard]] double once(const std::function<void()>& run, double launches, bool flush);

  /// Enqueues a write of twice the L2.
  void flush();

 private:
  gpu_ref::Stream stream_;
  gpu_ref::Event begin_;
  gpu_ref::Event end_;
  gpu_ref::DeviceBuffer<std::uint8_t> flush_;
  int flushes_ = 0;
};

}  // namespace moesim::measure
