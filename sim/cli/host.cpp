// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/host.hpp"

namespace moesim::cli {
namespace {

// Commands ask for it from any of their threads, so it is no argument of theirs.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<HostConsole*> g_console{nullptr};

std::mutex& one_at_a_time() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

HostedCommands::HostedCommands(HostConsole& console) : alone_(one_at_a_time()) {
  g_console = &console;
}

HostedCommands::~HostedCommands() {
  g_console = nullptr;
}

HostConsole* host_console() {
  return g_console;
}

}  // namespace moesim::cli
