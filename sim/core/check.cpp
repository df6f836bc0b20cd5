// SPDX-License-Identifier: Apache-2.0
#include "sim/core/check.hpp"

#include <stdexcept>
#include <string>

namespace moesim {

void check_failed(const char* file, int line, const char* condition, std::string_view words) {
  // std alone: the stand-alone measurement program has no fmt.
  throw std::logic_error(std::string(file) + ":" + std::to_string(line) +
                         ": check failed: " + condition + ": " + std::string(words));
}

}  // namespace moesim
