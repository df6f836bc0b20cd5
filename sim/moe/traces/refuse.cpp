// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/refuse.hpp"

#include <fmt/core.h>

#include <cstring>
#include <utility>
#include <vector>

namespace moesim::traces {

Diagnostic mistake(const std::filesystem::path& file, std::string message, std::string key) {
  return {.place = {.file = file.string()},
          .key = std::move(key),
          .message = std::move(message),
          .source_line = {},
          .hint = {}};
}

void refuse(const std::filesystem::path& file, std::string message) {
  throw UserError(std::vector<Diagnostic>{mistake(file, std::move(message))});
}

void refuse_line(const std::filesystem::path& file, int line, std::string message) {
  Diagnostic found = mistake(file, std::move(message));
  found.place.line = line;
  found.place.column = 1;
  throw UserError(std::vector<Diagnostic>{std::move(found)});
}

void fail_call(const char* call, const std::filesystem::path& file, int error) {
  throw EnvironmentError(
      fmt::format("cannot {} {}: {}", call, file.string(), std::strerror(error)));
}

}  // namespace moesim::traces
