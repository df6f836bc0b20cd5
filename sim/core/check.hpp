// SPDX-License-Identifier: Apache-2.0
// MOESIM_CHECK: a condition that only our own bug can break. On in every build.
#pragma once

#include <string_view>

namespace moesim {

/// Throws std::logic_error "file:line: check failed: condition: words".
[[noreturn]] void check_failed(const char* file,
                               int line,
                               const char* condition,
                               std::string_view words);

}  // namespace moesim

#define MOESIM_CHECK(condition, words)                                 \
  do {                                                                 \
    if (!(condition)) {                                                \
      ::moesim::check_failed(__FILE__, __LINE__, #condition, (words)); \
    }                                                                  \
  } while (false)
