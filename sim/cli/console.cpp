// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/console.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

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

/// Colour is for people at a terminal that did not refuse it (https://no-color.org).
bool wants_color() {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && (refused == nullptr || *refused == '\0') &&
         (terminal == nullptr || std::string_view(terminal) != "dumb");
}

/// Where a line's "error:" or "note:" stands: at its start or behind a place; npos if it has none.
std::size_t mark_of(std::string_view line, std::string_view word) {
  const std::size_t behind = line.find(fmt::format(": {}", word));
  return line.starts_with(word) ? 0 : behind == std::string_view::npos ? behind : behind + 2;
}

/// The words "error:" in red and "note:" in cyan, the rest as it is.
std::string colored(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kMarks = {
      {{"error:", "\033[1;31m"}, {"note:", "\033[1;36m"}}};
  std::string made;
  while (!text.empty()) {
    std::string line(text.substr(0, text.find('\n') + 1));
    line = line.empty() ? std::string(text) : line;
    text.remove_prefix(line.size());
    for (const auto& [word, color] : kMarks) {
      if (const std::size_t at = mark_of(line, word); at != std::string::npos) {
        line.insert(at + word.size(), "\033[0m").insert(at, color);
        break;
      }
    }
    made += line;
  }
  return made;
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
  fmt::print(stderr, "{}", wants_color() ? colored(text) : std::string(text));
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
             "\r\033[K{}: {} of {} ({:.0f} %), {:.3g} a second, {:.0f} s left",
             what_,
             done,
             total,
             100.0 * ratio,
             static_cast<double>(done) / elapsed,
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
