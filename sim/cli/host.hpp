// SPDX-License-Identifier: Apache-2.0
// Commands inside another program (the Python module): what they print is kept, progress is told
// to a function, and the program's own Ctrl-C ends them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace moesim::cli {

/// What stands for the terminal.
struct HostConsole {
  std::string out;                                ///< what print() was given
  std::string error;                              ///< what print_error() was given
  std::atomic<bool> interrupted = false;          ///< set by the host, from any thread
  std::map<std::string, std::string> texts = {};  ///< scenarios that are no files, by name
  /// Called from any thread. `total` is 0 where `what` says it all.
  std::function<void(std::string_view what, std::int64_t done, std::int64_t total)> on_progress;
};

/// The console of commands as long as it lives. One at a time in a process: the next one waits in
/// its constructor.
class HostedCommands {
 public:
  explicit HostedCommands(HostConsole& console);
  ~HostedCommands();
  HostedCommands(const HostedCommands&) = delete;
  HostedCommands& operator=(const HostedCommands&) = delete;

 private:
  std::unique_lock<std::mutex> alone_;
};

/// Null in the program moesim.
[[nodiscard]] HostConsole* host_console();

}  // namespace moesim::cli
