// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/device/communicator.hpp"

#include <nccl.h>

#include <algorithm>

#include "gpu_ref/device/check.hpp"
#include "gpu_ref/device/nccl_group.hpp"

namespace moesim::gpu_ref {
namespace {

static_assert(sizeof(ncclUniqueId) == sizeof(CommunicatorId));

const char* bytes_at(const void* base, std::size_t offset) {
  return static_cast<const char*>(base) + offset;
}

}  // namespace

CommunicatorId make_communicator_id() {
  ncclUniqueId unique{};
  MOESIM_NCCL_CHECK(ncclGetUniqueId(&unique));
  CommunicatorId id{};
  std::copy(std::begin(unique.internal), std::end(unique.internal), id.begin());
  return id;
}

Communicator::Communicator(const CommunicatorId& id, int ranks, int rank)
    : ranks_(ranks), rank_(rank) {
  ncclUniqueId unique{};
  std::copy(id.begin(), id.end(), std::begin(unique.internal));
  MOESIM_NCCL_CHECK(ncclCommInitRank(&handle_, ranks, unique, rank));
}

Communicator::~Communicator() {
  // Destroying waits for what is under way, which after a failure may never end.
  MOESIM_CUDA_IGNORE(has_failed_ ? ncclCommAbort(handle_) : ncclCommDestroy(handle_));
}

void Communicator::exchange(const void* from,
                            std::span<const PeerBytes> sends,
                            void* to,
                            std::span<const PeerBytes> receives,
                            StreamHandle stream) {
  has_failed_ = true;  // until the end of this call
  NcclGroup group;
  for (const PeerBytes& send : sends) {
    if (send.bytes > 0) {
      MOESIM_NCCL_CHECK(
          ncclSend(bytes_at(from, send.offset), send.bytes, ncclInt8, send.peer, handle_, stream));
    }
  }
  for (const PeerBytes& receive : receives) {
    if (receive.bytes > 0) {
      MOESIM_NCCL_CHECK(ncclRecv(static_cast<char*>(to) + receive.offset,
                                 receive.bytes,
                                 ncclInt8,
                                 receive.peer,
                                 handle_,
                                 stream));
    }
  }
  group.end();
  has_failed_ = false;
}

void Communicator::all_gather(const std::int32_t* mine,
                              std::int32_t* all,
                              std::size_t count,
                              StreamHandle stream) {
  has_failed_ = true;
  MOESIM_NCCL_CHECK(ncclAllGather(mine, all, count, ncclInt32, handle_, stream));
  has_failed_ = false;
}

}  // namespace moesim::gpu_ref
