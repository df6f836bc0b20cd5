// SPDX-License-Identifier: Apache-2.0
// Which tokens share one capacity. Not for use outside sim/moe.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/moe/capacity.hpp"

namespace moesim {

/// Consecutive tokens [begin, end) of one source rank.
struct TokenRange {
  std::int32_t rank = 0;
  std::int32_t begin = 0;
  std::int32_t end = 0;
};

/// Tokens that share one capacity, in order of service.
struct ServedScope {
  std::vector<TokenRange> ranges;
  std::int64_t tokens = 0;
};

/// The scopes of a routing in the order in which they are served: by micro-batch, then rank.
/// Micro-batch m of a rank with n tokens is [floor(n m / M), floor(n (m + 1) / M)) of them.
[[nodiscard]] std::vector<ServedScope> served_scopes(const Routing& routing,
                                                     const CapacitySpec& spec);

/// The capacity of a slot in a scope. @param slots  of the layer, 0: one an expert
[[nodiscard]] std::int64_t scope_capacity(const Routing& routing,
                                          double factor,
                                          const ServedScope& scope,
                                          int slots = 0);

}  // namespace moesim
