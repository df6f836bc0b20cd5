// SPDX-License-Identifier: Apache-2.0
// Small transfers packet by packet in ns-3 (Debian: libns3-dev), where it is there. Plain C++17
// without headers of the project: those of ns-3 3.37 are no C++20.
#pragma once

#include <cstdint>
#include <vector>

namespace moesim::testing {

/// Full duplex, between two vertices.
struct PacketCable {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  double bytes_per_s = 0.0;
  double latency_s = 0.0;
};

/// Bytes from one vertex to another, from time 0.
struct PacketTransfer {
  std::uint32_t source = 0;
  std::uint32_t target = 0;
  std::int64_t bytes = 0;
};

/// False in a build without ns-3.
[[nodiscard]] bool packet_level_is_built();

/// When the last byte of each transfer has arrived, in seconds; -1 if it never does.
///
/// Every vertex is an IP router, every cable has a queue that never overflows; paths are shortest,
/// which must be the only ones. A transfer is one TCP connection with a fixed window of 16
/// segments (143 kB), so nothing is lost and nothing backs off.
[[nodiscard]] std::vector<double> packet_level(std::uint32_t vertices,
                                               const std::vector<PacketCable>& cables,
                                               const std::vector<PacketTransfer>& transfers);

/// Payload of a full segment over its bytes on the wire: MTU 9000, IP 20, TCP 32, PPP 2.
inline constexpr double kPayloadShare = 8948.0 / 9002.0;

}  // namespace moesim::testing
