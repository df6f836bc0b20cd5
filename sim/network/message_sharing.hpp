// SPDX-License-Identifier: Apache-2.0
// The message engine: chunks that wait in line at each link.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/network/sharing.hpp"
#include "sim/network/tick_heap.hpp"

namespace moesim {

/// First come, first served store and forward. A flow is a message of equal chunks (the last may be
/// smaller). A link serves one chunk at a time:
///
///   time on a link = bytes of the chunk / min(capacity, rate cap), to the nearest picosecond
///   a chunk joins the line of its next link when it has left the link before it
///   a message's next chunk joins the line of the first link when the one before has left it
///
/// so messages that share their first link take turns, chunk by chunk. A message drains when its
/// last chunk has left its last link. Chunks that arrive at one tick stand in line by the number of
/// the link they come from.
/// Source: store-and-forward queues as in congestion-aware network simulators that serve messages
/// whole; one chunk a message is that model.
/// Valid for: order of messages, queues at a receiver, gaps that fair sharing hides. No windows, no
/// loss, no priorities, buffers without end.
/// Cost: O(log busy links) a chunk and link.
/// Checked by: message_test.
class MessageSharing final : public Sharing {
 public:
  /// @param chunk  bytes of a chunk, > 0; infinite: whole messages
  MessageSharing(std::span<const BytesPerSecond> capacity, Bytes chunk);

  void start(FlowId id, const Flow& flow) override;
  std::span<const FlowId> advance(SimTime limit) override;
  [[nodiscard]] SimTime now() const override { return now_; }
  /// Chunks that have left a link, so far.
  [[nodiscard]] std::int64_t chunk_hops() const { return chunk_hops_; }

 private:
  struct Message {
    double rate_cap = 0.0;
    double chunk = 0.0;        ///< bytes of each chunk but the last
    double last_chunk = 0.0;   ///< bytes
    std::int64_t to_send = 0;  ///< chunks that have not joined their first line
    std::int64_t on_way = 0;   ///< chunks that have, and have not arrived
    std::uint32_t first_link = 0;
    std::uint32_t num_links = 0;
    FlowId flow;
  };
  struct Chunk {
    double bytes = 0.0;
    std::int32_t message = 0;
    std::uint32_t hop = 0;
    std::int32_t next = -1;  ///< in line, or in the list of free chunks
  };
  struct Line {
    std::int32_t first = -1;  ///< the one being served
    std::int32_t last = -1;
  };

  void send_next(std::int32_t message);
  void join_line(std::int32_t chunk);
  void serve(std::int32_t link);
  void leave_link(std::int32_t link);
  void arrive(std::int32_t chunk);

  std::vector<double> capacity_;
  double chunk_ = 0.0;
  SimTime now_;
  std::int64_t chunk_hops_ = 0;
  std::vector<Message> messages_;
  std::vector<std::int32_t> paths_;  ///< of all messages, one after the other
  std::vector<Chunk> chunks_;
  std::int32_t free_chunk_ = -1;
  std::vector<Line> lines_;  ///< by link
  TickHeap next_;            ///< by link: when the chunk being served leaves
  std::vector<FlowId> drained_;
};

}  // namespace moesim
