// SPDX-License-Identifier: Apache-2.0
#include "sim/core/check.hpp"
#include "sim/network/fluid.hpp"
#include "sim/network/latency_network.hpp"
#include "sim/network/simgrid_sharing.hpp"

namespace moesim {

bool is_available(NetworkEngine engine) {
  return engine == NetworkEngine::kFluid || simgrid_is_built();
}

std::unique_ptr<Network> make_network(NetworkEngine engine,
                                      std::span<const BytesPerSecond> capacity) {
  std::unique_ptr<Sharing> sharing;
  switch (engine) {
    case NetworkEngine::kFluid:
      sharing = std::make_unique<FluidSharing>(capacity);
      break;
    case NetworkEngine::kSimGrid:
      sharing = make_simgrid_sharing(capacity);
      break;
  }
  MOESIM_CHECK(sharing != nullptr, "no such network engine");
  return std::make_unique<LatencyNetwork>(std::move(sharing), capacity);
}

}  // namespace moesim
