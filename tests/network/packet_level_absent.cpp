// SPDX-License-Identifier: Apache-2.0
#include <stdexcept>

#include "tests/network/packet_level.hpp"

namespace moesim::testing {

bool packet_level_is_built() {
  return false;
}

std::vector<double> packet_level(std::uint32_t,
                                 const std::vector<PacketCable>&,
                                 const std::vector<PacketTransfer>&) {
  throw std::logic_error("this build has no ns-3");
}

}  // namespace moesim::testing
