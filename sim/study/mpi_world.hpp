// SPDX-License-Identifier: Apache-2.0
// The processes that mpirun (or srun) started together, and texts between them. In a build without
// MPI: mpi_absent.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace moesim {

[[nodiscard]] bool mpi_is_built();

/// How many processes a launcher started this one with, as its environment says (Open MPI, MPICH
/// and Intel MPI); 1 without one.
[[nodiscard]] int launched_processes();

/// Between MPI_Init and MPI_Finalize. One a process; calls from one thread.
class MpiWorld {
 public:
  /// Throws EnvironmentError in a build without MPI, or when MPI cannot start.
  MpiWorld();
  /// Waits for all processes.
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  void send(int rank, std::string_view text);

  struct Message {
    int rank = 0;
    std::string text;
  };
  /// The next message that has arrived, without waiting.
  [[nodiscard]] std::optional<Message> poll();

 private:
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace moesim
