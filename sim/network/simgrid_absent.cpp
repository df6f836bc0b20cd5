// SPDX-License-Identifier: Apache-2.0
// Stands in for simgrid_sharing.cpp in a build without SimGrid.
#include "sim/core/diagnostics.hpp"
#include "sim/network/simgrid_sharing.hpp"

namespace moesim {

bool simgrid_is_built() {
  return false;
}

std::unique_ptr<Sharing> make_simgrid_sharing(std::span<const BytesPerSecond> /*capacity*/) {
  throw EnvironmentError(
      "network engine \"simgrid\" is not in this build (SimGrid was not found when it was "
      "configured)");
}

}  // namespace moesim
