// SPDX-License-Identifier: Apache-2.0
// Hop counts between the switches of the scale-out fabric, and the next hops of shortest paths.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "topology/cluster.hpp"

namespace moesim {

/// Which links a search may use.
enum class LinkFilter {
  kUsable,  ///< health above 0
  kAll,     ///< links that are down too, to tell a fault from a missing cable
};
[[nodiscard]] bool admits(LinkFilter filter, const Link& link);

/// Breadth-first distances from every fabric switch to every switch that has a NIC ("exit").
/// Built with Boost.Graph; only switches and fabric links take part, so a GPU or a NIC is never
/// passed through. Memory: 2 bytes per (exit, switch). Immutable, so threads may share one.
/// Throws UserError when the table would be larger than kMaxTableBytes.
class HopTable {
 public:
  static constexpr std::int64_t kMaxTableBytes = 1'000'000'000;
  static constexpr std::uint16_t kUnreachable = std::numeric_limits<std::uint16_t>::max();

  HopTable(const Cluster& cluster, LinkFilter filter);

  /// Links on a shortest path from one switch to an exit, or kUnreachable.
  [[nodiscard]] std::uint16_t hops(VertexId from, VertexId exit) const;

  /// Which of `equals` links that lead nearer is taken at a switch, 0 to equals - 1.
  using NextHop = std::function<std::uint64_t(VertexId at, std::uint64_t equals)>;
  /// Appends a shortest path from `from` to `exit` (reachable).
  void append_path(VertexId from,
                   VertexId exit,
                   const NextHop& next,
                   std::vector<LinkId>& links) const;

  static constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 40U;
  /// Shortest paths from one switch to an exit, at most kMaxCount; 0 when unreachable.
  [[nodiscard]] std::uint64_t count_paths(VertexId from, VertexId exit) const;
  /// Appends shortest path number `index` < count_paths(from, exit).
  void append_path_number(VertexId from,
                          VertexId exit,
                          std::uint64_t index,
                          std::vector<LinkId>& links) const;

 private:
  struct Hop {
    LinkId link;
    std::int32_t target = 0;  ///< switch number
  };

  struct Counts;
  void number_switches(const Cluster& cluster);
  void collect_hops(const Cluster& cluster, LinkFilter filter);
  void check_table_size() const;
  void measure_distances();
  [[nodiscard]] std::span<const Hop> hops_from(std::int32_t switch_number) const;
  [[nodiscard]] std::span<const std::uint16_t> distances_to(VertexId exit) const;

  std::vector<std::int32_t> switch_of_vertex_;  ///< -1: not a fabric switch
  std::vector<std::int32_t> exit_of_vertex_;    ///< -1: no NIC there
  std::vector<VertexId> switches_;              ///< by switch number
  std::vector<std::int32_t> exits_;             ///< switch numbers, by exit number
  std::vector<std::int32_t> first_hop_;         ///< [switches + 1], into hops_
  std::vector<Hop> hops_;                       ///< usable links, by source switch
  std::vector<std::uint16_t> distance_;         ///< [exit * switches + switch]
};

}  // namespace moesim
