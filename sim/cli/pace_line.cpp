// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/pace_line.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "sim/cli/console.hpp"
#include "sim/cli/host.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {

Pace end_when(const std::atomic<bool>& set) {
  return [&set](std::string_view, std::int64_t, std::int64_t) {
    if (set) {
      throw Cancelled();
    }
  };
}

Pace end_when_interrupted() {
  return [](std::string_view, std::int64_t, std::int64_t) {
    if (interrupted()) {
      throw Cancelled();
    }
  };
}

PaceLine::PaceLine(std::string what, bool enabled)
    : what_(std::move(what)), enabled_(enabled && ::isatty(STDERR_FILENO) == 1) {}

PaceLine::~PaceLine() {
  if (shown_) {
    std::fputs("\r\033[K", stderr);
  }
}

Pace PaceLine::pace() {
  return [this](std::string_view work, std::int64_t done, std::int64_t total) {
    if (interrupted()) {
      throw Cancelled();
    }
    if (total > 0) {
      show(work, done, total);
    }
  };
}

void PaceLine::show(std::string_view work, std::int64_t done, std::int64_t total) {
  constexpr std::chrono::seconds kQuiet{2};
  constexpr std::chrono::milliseconds kBetween{200};
  const Clock::time_point now = Clock::now();
  const std::scoped_lock lock(mutex_);
  if (work != work_) {
    work_ = work;
    begun_ = now;
  }
  if (done == 0 || now - begun_ < kQuiet || now - last_ < kBetween) {
    return;
  }
  last_ = now;
  if (const HostConsole* host = host_console()) {
    host->on_progress(fmt::format("{}: {}", what_, work), done, total);
    return;
  }
  if (!enabled_) {
    return;
  }
  shown_ = true;
  const double ratio = static_cast<double>(done) / static_cast<double>(total);
  const std::chrono::duration<double> elapsed = now - begun_;
  fmt::print(stderr,
             "\r\033[K{}: {}, {:.0f} %, {:.0f} s left",
             what_,
             work,
             100.0 * ratio,
             elapsed.count() * (1.0 / ratio - 1.0));
  std::fflush(stderr);
}

}  // namespace moesim::cli
