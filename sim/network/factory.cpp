// SPDX-License-Identifier: Apache-2.0
#include "sim/core/check.hpp"
#include "sim/network/fluid.hpp"
#include "sim/network/latency_network.hpp"
#include "sim/network/message_sharing.hpp"
#include "sim/network/simgrid_sharing.hpp"

namespace moesim {

bool is_available(NetworkEngine engine) {
  return engine != NetworkEngine::kSimGrid || simgrid_is_built();
}

SimTime tolerance_window(double tolerance, Seconds bound) {
  constexpr double kWindowsPerTolerance = 6.0;
  return ticks(tolerance / kWindowsPerTolerance * bound);
}

std::unique_ptr<Network> make_network(const NetworkSettings& settings,
                                      std::span<const BytesPerSecond> capacity) {
  std::unique_ptr<Sharing> sharing;
  switch (settings.engine) {
    case NetworkEngine::kFluid:
      sharing = std::make_unique<FluidSharing>(capacity, settings.window);
      break;
    case NetworkEngine::kSimGrid:
      sharing = make_simgrid_sharing(capacity);
      break;
    case NetworkEngine::kMessage:
      sharing = std::make_unique<MessageSharing>(capacity, settings.chunk);
      break;
  }
  MOESIM_CHECK(sharing != nullptr, "no such network engine");
  return std::make_unique<LatencyNetwork>(std::move(sharing), capacity);
}

std::unique_ptr<Network> make_network(NetworkEngine engine,
                                      std::span<const BytesPerSecond> capacity) {
  return make_network(NetworkSettings{.engine = engine}, capacity);
}

}  // namespace moesim
