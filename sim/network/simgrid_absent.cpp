// SPDX-License-Identifier: Apache-2.0
// Stands in for simgrid_sharing.cpp in a build without SimGrid.
#include "sim/core/diagnostics.hpp"
#include "sim/network/simgrid_batch.hpp"
#include "sim/network/simgrid_sharing.hpp"

namespace moesim {

bool simgrid_is_built() {
  return false;
}

namespace {

[[noreturn]] void refuse() {
  throw EnvironmentError(
      "network engine \"simgrid\" is not in this build (SimGrid was not found when it was "
      "configured)");
}

}  // namespace

std::unique_ptr<Sharing> make_simgrid_sharing(std::span<const BytesPerSecond> /*capacity*/) {
  refuse();
}

SimGridRun run_on_simgrid(std::span<const BytesPerSecond> /*capacity*/,
                          std::span<const BatchFlow> /*flows*/,
                          std::span<const PairBytes> /*pairs*/,
                          SimGridUpdates /*updates*/) {
  refuse();
}

}  // namespace moesim
