// SPDX-License-Identifier: Apache-2.0
// Stands in for mpi_world.cpp in a build without MPI.
#include "sim/core/diagnostics.hpp"
#include "sim/study/mpi_world.hpp"

namespace moesim {

bool mpi_is_built() {
  return false;
}

MpiWorld::MpiWorld() {
  throw EnvironmentError(
      "started as one of several processes, but this build has no MPI (it was not found when it "
      "was configured)");
}

MpiWorld::~MpiWorld() = default;

void MpiWorld::send(int /*rank*/, std::string_view /*text*/) {}

std::optional<MpiWorld::Message> MpiWorld::poll() {
  return std::nullopt;
}

}  // namespace moesim
