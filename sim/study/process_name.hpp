// SPDX-License-Identifier: Apache-2.0
// A name for a running process that no later one gets.
#pragma once

#include <string>
#include <string_view>

namespace moesim {

/// "HOST NAMESPACE PID START": host name, pid namespace, pid, start in clock ticks since boot.
[[nodiscard]] std::string this_process();

/// The process of that name ran on this machine and does no longer. False for other machines, of
/// which nothing is known.
[[nodiscard]] bool has_ended(std::string_view process);

/// "process 123 on HOST", for a message.
[[nodiscard]] std::string process_words(const std::string& process);

}  // namespace moesim
