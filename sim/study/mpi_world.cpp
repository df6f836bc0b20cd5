// SPDX-License-Identifier: Apache-2.0
#include "sim/study/mpi_world.hpp"

#include <fmt/core.h>
#include <mpi.h>

#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace {

constexpr int kTag = 1;

void require(int result, const char* call) {
  if (result != MPI_SUCCESS) {
    throw EnvironmentError(fmt::format("{} failed with MPI error {}", call, result));
  }
}

}  // namespace

bool mpi_is_built() {
  return true;
}

MpiWorld::MpiWorld() {
  int threads = 0;
  require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &threads), "MPI_Init_thread");
  require(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  require(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
}

MpiWorld::~MpiWorld() {
  MPI_Finalize();
}

void MpiWorld::send(int rank, std::string_view text) {
  require(
      MPI_Send(text.data(), static_cast<int>(text.size()), MPI_BYTE, rank, kTag, MPI_COMM_WORLD),
      "MPI_Send");
}

std::optional<MpiWorld::Message> MpiWorld::poll() {
  int arrived = 0;
  MPI_Status status;
  require(MPI_Iprobe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &arrived, &status), "MPI_Iprobe");
  if (arrived == 0) {
    return std::nullopt;
  }
  int size = 0;
  require(MPI_Get_count(&status, MPI_BYTE, &size), "MPI_Get_count");
  Message message{.rank = status.MPI_SOURCE,
                  .text = std::string(static_cast<std::size_t>(size), '\0')};
  require(MPI_Recv(message.text.data(),
                   size,
                   MPI_BYTE,
                   message.rank,
                   kTag,
                   MPI_COMM_WORLD,
                   MPI_STATUS_IGNORE),
          "MPI_Recv");
  return message;
}

}  // namespace moesim
