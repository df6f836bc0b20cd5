// SPDX-License-Identifier: Apache-2.0
#include "sim/network/message_sharing.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr std::uint32_t kIdBits = (1U << 30U) - 1;

}  // namespace

MessageSharing::MessageSharing(std::span<const BytesPerSecond> capacity, Bytes chunk)
    : chunk_(chunk.value), lines_(capacity.size()) {
  MOESIM_CHECK(chunk.value > 0.0, "a chunk without bytes");
  capacity_.reserve(capacity.size());
  for (const BytesPerSecond c : capacity) {
    capacity_.push_back(c.value);
  }
}

void MessageSharing::start(FlowId id, const Flow& flow) {
  MOESIM_CHECK(id.index() <= kIdBits, "too many messages");
  const auto first_hop = static_cast<std::uint32_t>(paths_.size());
  for (const LinkId link : flow.links) {
    paths_.push_back(link.value);
  }
  paths_.back() = ~paths_.back();
  const double bytes = flow.bytes.value;
  if (bytes <= chunk_ && std::isinf(flow.rate_cap.value)) {
    join_line(first_hop,
              {.bytes = bytes, .id = static_cast<std::uint32_t>(id.value) & kIdBits, .is_last = 1});
    return;
  }
  const double chunk = std::min(chunk_, bytes);
  const double full = std::max(0.0, std::ceil(bytes / chunk) - 1.0);
  long_.push_back({.rate_cap = flow.rate_cap.value,
                   .chunk = chunk,
                   .last_chunk = bytes - full * chunk,
                   .to_send = static_cast<std::int64_t>(full) + 1,
                   .first_hop = first_hop,
                   .flow = id});
  send_next(static_cast<std::uint32_t>(long_.size() - 1));
}

/// A long message's next chunk joins the line of its first link.
void MessageSharing::send_next(std::uint32_t id) {
  LongMessage& message = long_[id];
  --message.to_send;
  const bool is_last = message.to_send == 0;
  join_line(message.first_hop,
            {.bytes = is_last ? message.last_chunk : message.chunk,
             .id = id & kIdBits,
             .is_long = 1,
             .is_last = is_last ? 1U : 0U});
}

void MessageSharing::join_line(std::uint32_t hop, Waiting chunk) {
  const std::int32_t link = link_of(hop);
  chunk.next_hop = hop_after(hop);
  WaitingLine& line = lines_[static_cast<std::size_t>(link)];
  const bool is_first = line.empty();
  line.push(chunk);
  if (is_first) {
    serve(link);
  }
}

/// The first chunk in line is served from now on.
void MessageSharing::serve(std::int32_t link) {
  const WaitingLine& line = lines_[static_cast<std::size_t>(link)];
  const Waiting& chunk = line[0];
  double rate = capacity_[static_cast<std::size_t>(link)];
  if (chunk.is_long != 0) {
    rate = std::min(rate, long_[chunk.id].rate_cap);
  }
  next_.set(link, after(now_, {chunk.bytes / rate}));
  constexpr std::uint32_t kAhead = 4;  // a cache line of them
  __builtin_prefetch(&line[kAhead]);
  if (chunk.next_hop != kNoHop) {
    __builtin_prefetch(&paths_[chunk.next_hop]);
  }
}

std::span<const FlowId> MessageSharing::advance(SimTime limit) {
  MOESIM_CHECK(limit >= now_, "the clock would fall");
  drained_.clear();
  while (true) {
    const SimTime tick = next_.next_tick();
    if (tick > limit || tick == SimTime::never()) {
      now_ = limit == SimTime::never() ? now_ : limit;
      return {};
    }
    now_ = tick;
    while (next_.next_tick() == tick) {
      leave_link(next_.next_key());
    }
    if (!drained_.empty()) {
      std::sort(drained_.begin(), drained_.end());
      return drained_;
    }
  }
}

/// The chunk being served moves on, and the next in line is served. Chunks of a message go one way
/// through lines that keep their order, so a message has arrived with its last chunk.
void MessageSharing::leave_link(std::int32_t link) {
  ++chunk_hops_;
  WaitingLine& line = lines_[static_cast<std::size_t>(link)];
  const Waiting chunk = line.pop();
  if (line.empty()) {
    next_.set(link, SimTime::never());
  } else {
    serve(link);
  }
  const std::uint32_t id = chunk.id;
  if (chunk.next_hop != kNoHop) {
    join_line(chunk.next_hop, chunk);
  } else if (chunk.is_last != 0) {
    drained_.push_back(chunk.is_long != 0 ? long_[id].flow : FlowId{static_cast<std::int32_t>(id)});
  }
  if (chunk.is_long != 0 && long_[id].to_send > 0 && link_of(long_[id].first_hop) == link) {
    send_next(id);
  }
}

}  // namespace moesim
