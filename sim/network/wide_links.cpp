// SPDX-License-Identifier: Apache-2.0
#include "sim/network/wide_links.hpp"

#include <cstdint>

namespace moesim {
namespace {

constexpr std::int32_t kUnknown = -2;
constexpr std::int32_t kNone = -1;  ///< not always the same

void note(std::int32_t& neighbour, std::int32_t link) {
  neighbour = neighbour == kUnknown || neighbour == link ? link : kNone;
}

}  // namespace

std::vector<bool> links_that_never_bind(std::span<const BytesPerSecond> capacity,
                                        std::span<const BatchFlow> flows) {
  std::vector<std::int32_t> before(capacity.size(), kUnknown);
  std::vector<std::int32_t> after(capacity.size(), kUnknown);
  for (const BatchFlow& flow : flows) {
    for (std::size_t hop = 0; hop < flow.links.size(); ++hop) {
      const std::size_t link = flow.links[hop].index();
      note(before[link], hop == 0 ? kNone : flow.links[hop - 1].value);
      note(after[link], hop + 1 == flow.links.size() ? kNone : flow.links[hop + 1].value);
    }
  }
  std::vector<bool> never(capacity.size(), false);
  for (std::size_t l = 0; l < capacity.size(); ++l) {
    never[l] = (after[l] >= 0 && capacity[static_cast<std::size_t>(after[l])] <= capacity[l]) ||
               (before[l] >= 0 && capacity[static_cast<std::size_t>(before[l])] < capacity[l]);
  }
  return never;
}

}  // namespace moesim
