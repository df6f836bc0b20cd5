// SPDX-License-Identifier: Apache-2.0
// How the trace readers turn a file down: one sentence, with the file before it.
#pragma once

#include <filesystem>
#include <string>

#include "sim/core/diagnostics.hpp"

namespace moesim::traces {

/// One mistake in `file`: "file: error: key: message".
[[nodiscard]] Diagnostic mistake(const std::filesystem::path& file,
                                 std::string message,
                                 std::string key = {});

/// Throws the UserError "file: error: message".
[[noreturn]] void refuse(const std::filesystem::path& file, std::string message);

/// Throws the UserError "file:line:1: error: message".
[[noreturn]] void refuse_line(const std::filesystem::path& file, int line, std::string message);

/// Throws the EnvironmentError "cannot CALL FILE: reason" for an errno value.
[[noreturn]] void fail_call(const char* call, const std::filesystem::path& file, int error);

}  // namespace moesim::traces
