// SPDX-License-Identifier: Apache-2.0
// The terminal: output, progress, Ctrl-C; of a program that hosts the commands (host.hpp), that
// one's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace moesim::cli {

/// Standard output; throws EnvironmentError when it cannot be written (a full disk).
void print(std::string_view text);
/// Standard error.
void print_error(std::string_view text);

/// Set by Ctrl-C (SIGINT) or SIGTERM; a second one ends the process at once.
[[nodiscard]] const std::atomic<bool>& interrupted();
/// Whether interrupted() was set; takes it back, for a command that goes on with what it has.
[[nodiscard]] bool take_interrupt();
/// For commands that look at interrupted(); the others are ended by the signal itself.
void watch_for_interrupt();

/// Thrown by a command that Ctrl-C ended and that says itself what is left. Exit code 130.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One line on standard error, shown only on a terminal, wiped at the end.
class Progress {
 public:
  Progress(std::string what, bool enabled);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Counted work: shown once it has lasted two seconds.
  void update(std::int64_t done, std::int64_t total);
  /// Work whose parts cannot be counted: names the part that begins, at once.
  void stage(std::string_view part);

 private:
  std::string what_;
  bool enabled_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace moesim::cli
