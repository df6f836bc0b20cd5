// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/console.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "sim/cli/host.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::cli {
namespace {

// A signal handler can reach nothing else; take_interrupt alone sets it back.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<bool> g_interrupted{false};

extern "C" void on_signal(int signal) {
  if (g_interrupted.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

void print(std::string_view text) {
  if (HostConsole* host = host_console()) {
    host->out += text;
    return;
  }
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw EnvironmentError("cannot write to standard output");
  }
}

void print_error(std::string_view text) {
  if (HostConsole* host = host_console()) {
    host->error += text;
    return;
  }
  fmt::print(stderr, "{}", text);
}

const std::atomic<bool>& interrupted() {
  const HostConsole* host = host_console();
  return host != nullptr ? host->interrupted : g_interrupted;
}

bool take_interrupt() {
  HostConsole* host = host_console();
  return (host != nullptr ? host->interrupted : g_interrupted).exchange(false);
}

void watch_for_interrupt() {
  if (host_console() != nullptr) {
    return;  // signals are the host's
  }
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

Progress::Progress(std::string what, bool enabled)
    : what_(std::move(what)),
      enabled_(enabled && ::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (shown_) {
    std::fputs("\r\033[K", stderr);
  }
}

void Progress::update(std::int64_t done, std::int64_t total) {
  if (const HostConsole* host = host_console()) {
    host->on_progress(what_, done, total);
    return;
  }
  const double elapsed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  if (!enabled_ || elapsed < 2.0 || done == 0) {
    return;
  }
  shown_ = true;
  const double ratio = static_cast<double>(done) / static_cast<double>(total);
  const double left = elapsed * (1.0 / ratio - 1.0);
  fmt::print(stderr,
             "\r\033[K{}: {} of {} ({:.0f} %), {:.0f} s left",
             what_,
             done,
             total,
             100.0 * ratio,
             left);
  std::fflush(stderr);
}

void Progress::stage(std::string_view part) {
  if (const HostConsole* host = host_console()) {
    host->on_progress(fmt::format("{}: {}", what_, part), 0, 0);
    return;
  }
  if (enabled_) {
    shown_ = true;
    fmt::print(stderr, "\r\033[K{}: {}", what_, part);
    std::fflush(stderr);
  }
}

}  // namespace moesim::cli
