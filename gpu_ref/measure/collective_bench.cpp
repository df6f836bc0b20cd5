// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/collective_bench.hpp"

#include <nccl.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "gpu_ref/device/buffer.hpp"
#include "gpu_ref/device/check.hpp"
#include "gpu_ref/device/communicator.hpp"
#include "gpu_ref/device/devices.hpp"
#include "gpu_ref/device/nccl_group.hpp"
#include "gpu_ref/device/stream.hpp"
#include "gpu_ref/measure/gpu_fill.hpp"
#include "gpu_ref/measure/meeting.hpp"
#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {
namespace {

using gpu_ref::DeviceBuffer;

constexpr int kWarmupExchanges = 2;
constexpr int kSamples = 12;
constexpr std::int64_t kLargeBytes = std::int64_t{64} << 20;
constexpr std::chrono::milliseconds kPatience(120'000);

/// Operations back to back in one sample, so that the start of the ranks does not count.
int repeats_of(const CollectiveInput& input) {
  return input.bytes < kLargeBytes ? 20 : 3;
}

ncclUniqueId meet(const ProcessGroup& group, const std::string& file) {
  ncclUniqueId id{};
  if (group.rank == 0) {
    MOESIM_NCCL_CHECK(ncclGetUniqueId(&id));
    if (group.size > 1) {
      publish(file, {id.internal, sizeof(id.internal)});
    }
    return id;
  }
  const std::string text = await(file, sizeof(id.internal), kPatience);
  std::copy(text.begin(), text.end(), std::begin(id.internal));
  return id;
}

/// One GPU's part.
struct Member {
  explicit Member(int index) : gpu(index) {}

  int gpu = 0;
  int rank = 0;
  gpu_ref::Stream stream;
  gpu_ref::Event begin;
  gpu_ref::Event end;
  DeviceBuffer<std::uint8_t> send;
  DeviceBuffer<std::uint8_t> receive;
  ncclComm_t communicator = nullptr;
};

/// Bytes from rank to rank and where they lie: [sender * ranks + receiver].
struct Ranges {
  std::vector<std::int64_t> bytes;
  std::vector<std::int64_t> send_begin;
  std::vector<std::int64_t> receive_begin;
  std::int64_t most_sent = 0;
  std::int64_t most_received = 0;
};

Ranges ranges_of(const CollectiveInput& input) {
  const auto n = static_cast<std::size_t>(input.ranks);
  Ranges ranges;
  ranges.bytes = input.send_bytes;
  if (input.op == CollectiveOp::kAllToAll) {
    ranges.bytes.assign(n * n, input.bytes / input.ranks);
  }
  ranges.send_begin.assign(n * n, 0);
  ranges.receive_begin.assign(n * n, 0);
  for (std::size_t a = 0; a < n; ++a) {
    std::int64_t sent = 0;
    std::int64_t received = 0;
    for (std::size_t b = 0; b < n; ++b) {
      ranges.send_begin[a * n + b] = sent;
      ranges.receive_begin[b * n + a] = received;
      sent += ranges.bytes[a * n + b];
      received += ranges.bytes[b * n + a];
    }
    ranges.most_sent = std::max(ranges.most_sent, sent);
    ranges.most_received = std::max(ranges.most_received, received);
  }
  return ranges;
}

bool is_exchange(CollectiveOp op) {
  return op == CollectiveOp::kAllToAll || op == CollectiveOp::kAllToAllV;
}

void enqueue_exchange(Member& m, const CollectiveInput& input, const Ranges& ranges) {
  const auto n = static_cast<std::size_t>(input.ranks);
  const auto me = static_cast<std::size_t>(m.rank);
  for (std::size_t peer = 0; peer < n; ++peer) {
    const auto out = static_cast<std::size_t>(ranges.bytes[me * n + peer]);
    const auto in = static_cast<std::size_t>(ranges.bytes[peer * n + me]);
    if (out > 0) {
      MOESIM_NCCL_CHECK(ncclSend(m.send.data() + ranges.send_begin[me * n + peer],
                                 out,
                                 ncclInt8,
                                 static_cast<int>(peer),
                                 m.communicator,
                                 m.stream.handle()));
    }
    if (in > 0) {
      MOESIM_NCCL_CHECK(ncclRecv(m.receive.data() + ranges.receive_begin[peer * n + me],
                                 in,
                                 ncclInt8,
                                 static_cast<int>(peer),
                                 m.communicator,
                                 m.stream.handle()));
    }
  }
}

/// Rank r to rank r + 1, and from r - 1.
void enqueue_ring(Member& m, const CollectiveInput& input) {
  const auto bytes = static_cast<std::size_t>(input.bytes);
  const int next = (m.rank + 1) % input.ranks;
  const int previous = (m.rank + input.ranks - 1) % input.ranks;
  MOESIM_NCCL_CHECK(
      ncclSend(m.send.data(), bytes, ncclInt8, next, m.communicator, m.stream.handle()));
  MOESIM_NCCL_CHECK(
      ncclRecv(m.receive.data(), bytes, ncclInt8, previous, m.communicator, m.stream.handle()));
}

/// One member's calls of one operation; within a group of calls.
void enqueue(Member& m, const CollectiveInput& input, const Ranges& ranges) {
  const auto part = static_cast<std::size_t>(input.bytes / input.ranks);
  switch (input.op) {
    case CollectiveOp::kAllToAll:
    case CollectiveOp::kAllToAllV:
      enqueue_exchange(m, input, ranges);
      return;
    case CollectiveOp::kSendRecv:
      enqueue_ring(m, input);
      return;
    case CollectiveOp::kAllGather:
      MOESIM_NCCL_CHECK(ncclAllGather(
          m.send.data(), m.receive.data(), part, ncclInt8, m.communicator, m.stream.handle()));
      return;
    case CollectiveOp::kReduceScatter:
      MOESIM_NCCL_CHECK(ncclReduceScatter(m.send.data(),
                                          m.receive.data(),
                                          part / sizeof(gpu_ref::Bf16),
                                          ncclBfloat16,
                                          ncclSum,
                                          m.communicator,
                                          m.stream.handle()));
      return;
  }
}

}  // namespace

double bus_factor(CollectiveOp op, int ranks) {
  return op == CollectiveOp::kSendRecv ? 1.0 : static_cast<double>(ranks - 1) / ranks;
}

struct CollectiveBench::State {
  ProcessGroup group;
  int ranks = 1;
  std::vector<std::unique_ptr<Member>> members;
  DeviceBuffer<float> shared;  ///< on the first member's GPU
  bool has_failed = false;     ///< a measurement threw: other processes may wait for ever

  ~State() {
    for (const auto& member : members) {
      if (member->communicator != nullptr) {
        MOESIM_CUDA_IGNORE(has_failed ? ncclCommAbort(member->communicator)
                                      : ncclCommDestroy(member->communicator));
      }
    }
  }

  void reserve(const CollectiveInput& input, const Ranges& ranges) {
    const std::int64_t most = is_exchange(input.op) ? 0 : input.bytes;
    for (const auto& m : members) {
      gpu_ref::use_device(m->gpu);
      m->send.reserve(static_cast<std::size_t>(std::max(most, ranges.most_sent)));
      m->receive.reserve(static_cast<std::size_t>(std::max(most, ranges.most_received)));
      fill_random(reinterpret_cast<gpu_ref::Bf16*>(m->send.data()),
                  static_cast<std::int64_t>(m->send.size() / sizeof(gpu_ref::Bf16)),
                  1,
                  static_cast<std::uint64_t>(m->rank),
                  m->stream.handle());
      m->stream.wait();
    }
  }

  /// Seconds of `repeats` operations at the slowest GPU of this process.
  double sample(const CollectiveInput& input, const Ranges& ranges, int repeats) {
    for (const auto& m : members) {
      gpu_ref::use_device(m->gpu);
      m->begin.record(m->stream.handle());
    }
    for (int i = 0; i < repeats; ++i) {
      gpu_ref::NcclGroup calls;
      for (const auto& m : members) {
        enqueue(*m, input, ranges);
      }
      calls.end();
    }
    double slowest = 0;
    for (const auto& m : members) {
      gpu_ref::use_device(m->gpu);
      m->end.record(m->stream.handle());
    }
    for (const auto& m : members) {
      m->end.wait();
      slowest = std::max(slowest, m->end.since(m->begin).value);
    }
    return slowest;
  }

  /// The slowest process's samples, at all of them.
  std::vector<double> slowest(const std::vector<double>& mine) {
    if (group.size == 1) {
      return mine;
    }
    Member& m = *members.front();
    gpu_ref::use_device(m.gpu);
    const std::vector<float> values(mine.begin(), mine.end());
    shared.reserve(values.size());
    shared.upload(values, m.stream.handle());
    MOESIM_NCCL_CHECK(ncclAllReduce(shared.data(),
                                    shared.data(),
                                    values.size(),
                                    ncclFloat32,
                                    ncclMax,
                                    m.communicator,
                                    m.stream.handle()));
    const std::vector<float> all = shared.download(m.stream.handle());
    return {all.begin(), all.end()};
  }
};

CollectiveBench::CollectiveBench(const std::vector<int>& gpus,
                                 const ProcessGroup& group,
                                 const std::string& meeting_file)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.group = group;
  s.ranks = group.size > 1 ? group.size : static_cast<int>(gpus.size());
  const ncclUniqueId id = meet(group, meeting_file);
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    gpu_ref::use_device(gpus[i]);
    s.members.push_back(std::make_unique<Member>(gpus[i]));
    s.members.back()->rank = group.size > 1 ? group.rank : static_cast<int>(i);
  }
  gpu_ref::NcclGroup calls;
  for (const auto& m : s.members) {
    gpu_ref::use_device(m->gpu);
    MOESIM_NCCL_CHECK(ncclCommInitRank(&m->communicator, s.ranks, id, m->rank));
  }
  calls.end();
  gpu_ref::use_device(gpus.front());
  if (group.size > 1) {
    (void)broadcast(0);  // all are there: nobody needs the file any more
    if (group.rank == 0) {
      std::error_code ignored;
      std::filesystem::remove(meeting_file, ignored);
    }
  }
}

CollectiveBench::~CollectiveBench() = default;

int CollectiveBench::ranks() const {
  return state_->ranks;
}

Timing CollectiveBench::measure(const CollectiveInput& input) {
  State& s = *state_;
  s.has_failed = true;  // until the end of this call
  const Ranges ranges = is_exchange(input.op) ? ranges_of(input) : Ranges{};
  s.reserve(input, ranges);
  const int repeats = repeats_of(input);
  Timing timing;
  timing.warmup = kWarmupExchanges;
  timing.repeats = repeats;
  std::vector<double> mine;
  for (int i = 0; i < kWarmupExchanges + kSamples; ++i) {
    const double time = s.sample(input, ranges, repeats) / repeats;
    if (i >= kWarmupExchanges) {
      mine.push_back(time);
    }
  }
  timing.samples_s = s.slowest(mine);
  const double algbw =
      static_cast<double>(input.bytes) / summarise_samples(timing.samples_s).median;
  timing.extra.add("algbw_bytes_per_s", algbw)
      .add("busbw_bytes_per_s", algbw * bus_factor(input.op, input.ranks));
  gpu_ref::use_device(s.members.front()->gpu);
  s.has_failed = false;
  return timing;
}

int CollectiveBench::broadcast(int value) {
  State& s = *state_;
  Member& m = *s.members.front();
  gpu_ref::use_device(m.gpu);
  const std::vector<float> values = {static_cast<float>(value)};
  s.shared.reserve(1);
  s.shared.upload(values, m.stream.handle());
  MOESIM_NCCL_CHECK(ncclBroadcast(
      s.shared.data(), s.shared.data(), 1, ncclFloat32, 0, m.communicator, m.stream.handle()));
  return static_cast<int>(s.shared.download(m.stream.handle()).front());
}

}  // namespace moesim::measure
