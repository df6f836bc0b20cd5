// SPDX-License-Identifier: Apache-2.0
// The message engine: chunks that wait in line at each link.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "sim/network/sharing.hpp"
#include "sim/network/tick_heap.hpp"
#include "sim/network/waiting_line.hpp"

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
/// Valid for: order of messages, queues at a receiver, gaps that fair sharing hides; fewer than
/// 2^30 messages. No windows, no loss, no priorities, buffers without end. Cost: O(log busy links)
/// a chunk and link. Checked by: message_test.
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
  /// What a line does not tell of a message of several chunks, or with a rate cap.
  struct LongMessage {
    double rate_cap = 0.0;
    double chunk = 0.0;        ///< bytes of each chunk but the last
    double last_chunk = 0.0;   ///< bytes
    std::int64_t to_send = 0;  ///< chunks that have not joined their first line
    std::uint32_t first_hop = 0;
    FlowId flow;
  };
  static constexpr std::uint32_t kNoHop = std::numeric_limits<std::uint32_t>::max();

  [[nodiscard]] std::int32_t link_of(std::uint32_t hop) const {
    const std::int32_t link = paths_[hop];
    return link < 0 ? ~link : link;
  }
  [[nodiscard]] std::uint32_t hop_after(std::uint32_t hop) const {
    return paths_[hop] < 0 ? kNoHop : hop + 1;
  }
  void send_next(std::uint32_t id);
  void join_line(std::uint32_t hop, Waiting chunk);
  void serve(std::int32_t link);
  void leave_link(std::int32_t link);

  std::vector<double> capacity_;
  double chunk_ = 0.0;
  SimTime now_;
  std::int64_t chunk_hops_ = 0;
  std::vector<std::int32_t> paths_;  ///< links, one path after the other; the last of each as ~link
  std::vector<LongMessage> long_;
  std::vector<WaitingLine> lines_;  ///< by link; the first chunk is being served
  TickHeap next_;                   ///< by link: when the chunk being served leaves
  std::vector<FlowId> drained_;
};

}  // namespace moesim
