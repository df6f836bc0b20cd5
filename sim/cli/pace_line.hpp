// SPDX-License-Identifier: Apache-2.0
// What long work below the command line shows, and how Ctrl-C ends it.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>

#include "sim/core/pace.hpp"

namespace moesim::cli {

/// Throws Cancelled once the flag is set; it outlives the work.
[[nodiscard]] Pace end_when(const std::atomic<bool>& set);
/// The same of interrupted().
[[nodiscard]] Pace end_when_interrupted();

/// A line on standard error (a host program is told instead) for work that tells how far it is:
/// shown on a terminal once the work has lasted two seconds, wiped at the end.
class PaceLine {
 public:
  PaceLine(std::string what, bool enabled);
  ~PaceLine();
  PaceLine(const PaceLine&) = delete;
  PaceLine& operator=(const PaceLine&) = delete;

  /// To be given to the work, from any thread; this line outlives it. Throws Cancelled once
  /// interrupted() is set.
  [[nodiscard]] Pace pace();

 private:
  using Clock = std::chrono::steady_clock;
  void show(std::string_view work, std::int64_t done, std::int64_t total);

  std::mutex mutex_;
  std::string what_;
  bool enabled_;
  bool shown_ = false;
  std::string work_;
  Clock::time_point begun_;  ///< the work of that name
  Clock::time_point last_;   ///< shown
};

}  // namespace moesim::cli
