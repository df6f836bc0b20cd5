// SPDX-License-Identifier: Apache-2.0
// The two dispatchers that send straight from source to expert rank.
#include "sim/moe/traffic_counts.hpp"

namespace moesim {
namespace {

/// Both phases of a dispatcher without relays, from its copies per (source, expert rank).
LayerTraffic direct_traffic(const CountMatrix& copies, const DispatchSetup& setup) {
  const auto ranks = static_cast<int>(copies.columns);
  LayerTraffic traffic;
  add_direct(traffic.dispatch, copies, setup.copy.dispatch(), false);
  add_direct(traffic.combine, copies, setup.copy.combine, true);
  traffic.dispatch.logical = TrafficMatrix(ranks);
  traffic.combine.logical = TrafficMatrix(ranks);
  traffic.rank_received.resize(copies.columns);
  traffic.returned_rows.resize(copies.columns);
  for (std::size_t source = 0; source < copies.columns; ++source) {
    for (std::size_t rank = 0; rank < copies.columns; ++rank) {
      const std::int64_t count = copies.at(source, rank);
      traffic.rank_received[rank] += count;
      traffic.returned_rows[source] += count;
      if (source != rank) {
        traffic.dispatch.logical.at(id_at<RankId>(source), id_at<RankId>(rank)) = count * setup.copy.dispatch();
        traffic.combine.logical.at(id_at<RankId>(rank), id_at<RankId>(source)) = count * setup.copy.combine;
      }
    }
  }
  return traffic;
}

}  // namespace

LayerTraffic plan_pairwise(const AssignmentScan& scan, const DispatchSetup& setup) {
  CountMatrix copies(setup.places.size(), setup.places.size());
  StampSet seen(setup.places.size());
  scan.for_each_token([&](int source, std::span<const std::int32_t> ranks) {
    seen.clear();
    for (const std::int32_t rank : ranks) {
      if (seen.insert(rank)) {
        ++copies.at(static_cast<std::size_t>(source), static_cast<std::size_t>(rank));
      }
    }
  });
  return direct_traffic(copies, setup);
}

LayerTraffic plan_low_latency(const AssignmentScan& scan, const DispatchSetup& setup) {
  CountMatrix messages(setup.places.size(), setup.places.size());
  scan.for_each_token([&](int source, std::span<const std::int32_t> ranks) {
    for (const std::int32_t rank : ranks) {
      ++messages.at(static_cast<std::size_t>(source), static_cast<std::size_t>(rank));
    }
  });
  return direct_traffic(messages, setup);
}

}  // namespace moesim
