// SPDX-License-Identifier: Apache-2.0
// One rank's NCCL communicator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "gpu_ref/device/handles.hpp"

namespace moesim::gpu_ref {

/// What the ranks of a group must share before they meet: made once, handed to all.
using CommunicatorId = std::array<char, 128>;
[[nodiscard]] CommunicatorId make_communicator_id();

/// A contiguous range of bytes for or from one peer.
struct PeerBytes {
  int peer = 0;
  std::size_t offset = 0;  ///< bytes from the start of the buffer
  std::size_t bytes = 0;
};

/// A rank of an NCCL group, one per process or thread, each on a device of its own (the current one
/// of the constructing thread). The constructor waits until all ranks of the group call it.
class Communicator {
 public:
  Communicator(const CommunicatorId& id, int ranks, int rank);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  [[nodiscard]] int ranks() const { return ranks_; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] NcclHandle handle() const { return handle_; }

  /// All-to-all-v: every range of `sends` leaves from `from`, every range of `receives` arrives in
  /// `to`, as one group of sends and receives. Ranges of 0 bytes are left out (on both sides: a
  /// send of n bytes meets a receive of n bytes). At most one range a peer in each list.
  void exchange(const void* from,
                std::span<const PeerBytes> sends,
                void* to,
                std::span<const PeerBytes> receives,
                StreamHandle stream);

  /// all [ranks * count] i32 on the device, rank r's at r * count <- mine [count] i32.
  void all_gather(const std::int32_t* mine,
                  std::int32_t* all,
                  std::size_t count,
                  StreamHandle stream);

 private:
  int ranks_ = 0;
  int rank_ = 0;
  NcclHandle handle_ = nullptr;
  bool has_failed_ = false;  ///< a call threw: the others of the group may wait for ever
};

}  // namespace moesim::gpu_ref
