// SPDX-License-Identifier: Apache-2.0
#include "sim/network/message_sharing.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/check.hpp"

namespace moesim {

MessageSharing::MessageSharing(std::span<const BytesPerSecond> capacity, Bytes chunk)
    : chunk_(chunk.value), lines_(capacity.size()) {
  MOESIM_CHECK(chunk.value > 0.0, "a chunk without bytes");
  capacity_.reserve(capacity.size());
  for (const BytesPerSecond c : capacity) {
    capacity_.push_back(c.value);
  }
}

void MessageSharing::start(FlowId id, const Flow& flow) {
  const auto m = static_cast<std::int32_t>(messages_.size());
  const double chunk = std::min(chunk_, flow.bytes.value);
  const double full = std::max(0.0, std::ceil(flow.bytes.value / chunk) - 1.0);
  messages_.push_back({.rate_cap = flow.rate_cap.value,
                       .chunk = chunk,
                       .last_chunk = flow.bytes.value - full * chunk,
                       .to_send = static_cast<std::int64_t>(full) + 1,
                       .first_link = static_cast<std::uint32_t>(paths_.size()),
                       .num_links = static_cast<std::uint32_t>(flow.links.size()),
                       .flow = id});
  for (const LinkId link : flow.links) {
    paths_.push_back(link.value);
  }
  send_next(m);
}

/// The message's next chunk joins the line of its first link.
void MessageSharing::send_next(std::int32_t m) {
  Message& message = messages_[static_cast<std::size_t>(m)];
  --message.to_send;
  ++message.on_way;
  std::int32_t c = free_chunk_;
  if (c >= 0) {
    free_chunk_ = chunks_[static_cast<std::size_t>(c)].next;
  } else {
    c = static_cast<std::int32_t>(chunks_.size());
    chunks_.emplace_back();
  }
  chunks_[static_cast<std::size_t>(c)] = {
      .bytes = message.to_send > 0 ? message.chunk : message.last_chunk, .message = m};
  join_line(c);
}

void MessageSharing::join_line(std::int32_t c) {
  Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
  chunk.next = -1;
  const std::uint32_t first = messages_[static_cast<std::size_t>(chunk.message)].first_link;
  const std::int32_t link = paths_[first + chunk.hop];
  Line& line = lines_[static_cast<std::size_t>(link)];
  if (line.first >= 0) {
    chunks_[static_cast<std::size_t>(line.last)].next = c;
    line.last = c;
    return;
  }
  line = {.first = c, .last = c};
  serve(link);
}

/// The first chunk in line is served from now on.
void MessageSharing::serve(std::int32_t link) {
  const Chunk& chunk =
      chunks_[static_cast<std::size_t>(lines_[static_cast<std::size_t>(link)].first)];
  const Message& message = messages_[static_cast<std::size_t>(chunk.message)];
  const double rate = std::min(capacity_[static_cast<std::size_t>(link)], message.rate_cap);
  next_.set(link, after(now_, {chunk.bytes / rate}));
  __builtin_prefetch(&paths_[message.first_link + chunk.hop]);
  if (chunk.next >= 0) {  // the next in line was asked for when this one stood second
    const Chunk& next = chunks_[static_cast<std::size_t>(chunk.next)];
    __builtin_prefetch(&messages_[static_cast<std::size_t>(next.message)]);
    __builtin_prefetch(&chunks_[static_cast<std::size_t>(std::max(next.next, 0))]);
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

/// The chunk being served moves on, and the next in line is served.
void MessageSharing::leave_link(std::int32_t link) {
  ++chunk_hops_;
  Line& line = lines_[static_cast<std::size_t>(link)];
  const std::int32_t c = line.first;
  const Chunk chunk = chunks_[static_cast<std::size_t>(c)];
  line.first = chunk.next;
  if (line.first >= 0) {
    serve(link);
  } else {
    next_.set(link, SimTime::never());
  }
  const Message& message = messages_[static_cast<std::size_t>(chunk.message)];
  const bool has_more = chunk.hop == 0 && message.to_send > 0;
  if (chunk.hop + 1 < message.num_links) {
    ++chunks_[static_cast<std::size_t>(c)].hop;
    join_line(c);
  } else {
    arrive(c);
  }
  if (has_more) {
    send_next(chunk.message);
  }
}

void MessageSharing::arrive(std::int32_t c) {
  Chunk& chunk = chunks_[static_cast<std::size_t>(c)];
  Message& message = messages_[static_cast<std::size_t>(chunk.message)];
  --message.on_way;
  if (message.on_way == 0 && message.to_send == 0) {
    drained_.push_back(message.flow);
  }
  chunk.next = free_chunk_;
  free_chunk_ = c;
}

}  // namespace moesim
