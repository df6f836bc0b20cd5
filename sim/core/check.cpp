// SPDX-License-Identifier: Apache-2.0
#include "sim/core/check.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace moesim {

void check_failed(const char* file, int line, const char* condition, std::string_view words) {
  throw std::logic_error(fmt::format("{}:{}: check failed: {}: {}", file, line, condition, words));
}

}  // namespace moesim
