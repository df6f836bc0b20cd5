// SPDX-License-Identifier: Apache-2.0
// A second opinion packet by packet: the same uneven all-to-all of 8 and 16 GPUs by ns-3, beside
// fair shares and whole messages. docs/network.md, "Packets", explains the differences.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/network/network.hpp"
#include "tests/network/packet_level.hpp"
#include "topology/builders.hpp"
#include "topology/paths.hpp"

namespace moesim::testing {
namespace {

/// One GPU and one 10 GB/s NIC a node. A single switch, or leaves of 4 nodes under one spine, 2:1.
Cluster small_cluster(int gpus, FabricKind kind) {
  ClusterSpec spec;
  spec.name = "packets";
  spec.nodes = gpus;
  spec.gpus_per_node = 1;
  spec.scale_up.kind = ScaleUpKind::kNone;
  spec.nic = {.per_node = 1,
              .bandwidth = gigabytes_per_second(10),
              .pcie_bandwidth = gigabytes_per_second(20),
              .latency = microseconds(2)};
  spec.fabric = {.kind = kind,
                 .nodes_per_leaf = 4,
                 .oversubscription = 2.0,
                 .link_bandwidth = gigabytes_per_second(20),
                 .hop_latency = microseconds(0.3)};
  return build_cluster(spec);
}

struct GpuTransfer {
  int source = 0;
  int target = 0;
  std::int64_t size = 0;
};

/// Every pair, 64 KiB to 1 MiB; what goes to GPU 0 twice as much.
std::vector<GpuTransfer> uneven_all_to_all(int gpus) {
  RngStream rng(7, "packet sizes");
  std::vector<GpuTransfer> transfers;
  for (int s = 0; s < gpus; ++s) {
    for (int t = 0; t < gpus; ++t) {
      if (s != t) {
        const auto size = static_cast<std::int64_t>(65'536 + rng.below(983'040));
        transfers.push_back({s, t, t == 0 ? 2 * size : size});
      }
    }
  }
  return transfers;
}

/// By ns-3: finish times, none of them missing.
std::vector<Seconds> in_packets(const Cluster& cluster, const std::vector<GpuTransfer>& transfers) {
  const auto number = [](VertexId vertex) { return static_cast<std::uint32_t>(vertex.value); };
  std::vector<PacketCable> cables;
  for (std::size_t i = 0; i < cluster.links.size(); i += 2) {  // the next is its other way
    const Link& link = cluster.links[i];
    cables.push_back(
        {number(link.source), number(link.target), link.usable().value, link.latency.value});
  }
  std::vector<PacketTransfer> between;
  for (const GpuTransfer& transfer : transfers) {
    between.push_back({number(cluster.place(GpuId{transfer.source}).vertex),
                       number(cluster.place(GpuId{transfer.target}).vertex),
                       transfer.size});
  }
  std::vector<Seconds> finish;
  for (const double seconds :
       packet_level(static_cast<std::uint32_t>(cluster.vertices.size()), cables, between)) {
    EXPECT_GT(seconds, 0.0) << "bytes are missing, or came twice";
    finish.push_back({seconds});
  }
  return finish;
}

/// Ours, at rates less the headers of packets.
struct Ours {
  std::vector<Seconds> finish;
  Seconds bound;
};

Ours ours(const Cluster& cluster, const std::vector<GpuTransfer>& transfers, NetworkEngine engine) {
  std::vector<BytesPerSecond> rates = usable_capacities(cluster);
  for (BytesPerSecond& rate : rates) {
    rate = rate * kPayloadShare;
  }
  const PathFinder finder(cluster, PathPolicy::kEcmp, 1);
  std::vector<BatchFlow> flows;
  for (const GpuTransfer& transfer : transfers) {
    const Path path = finder.find(GpuId{transfer.source}, GpuId{transfer.target}, 0);
    flows.push_back({path.links, bytes(static_cast<double>(transfer.size)), path.latency, {}});
  }
  const auto network = make_network(engine, rates);
  Ours result;
  for (const SimTime time : run_batch(*network, flows).finish) {
    result.finish.push_back(time.to_seconds());
  }
  result.bound = makespan_bound(rates, flows);
  return result;
}

double makespan(const std::vector<Seconds>& finish) {
  return std::max_element(finish.begin(), finish.end())->value;
}

/// Median of |a / b - 1| over transfers.
double median_difference(const std::vector<Seconds>& a, const std::vector<Seconds>& b) {
  std::vector<double> differences;
  for (std::size_t i = 0; i < a.size(); ++i) {
    differences.push_back(std::abs(a[i] / b[i] - 1));
  }
  std::sort(differences.begin(), differences.end());
  return differences[differences.size() / 2];
}

struct PacketCase {
  const char* name;
  int gpus;
  FabricKind kind;
};

class Packets : public ::testing::TestWithParam<PacketCase> {};

TEST_P(Packets, DisagreeByLittleAndNeverBeatTheBound) {
  if (!packet_level_is_built()) {
    GTEST_SKIP() << "this build has no ns-3 (Debian: libns3-dev)";
  }
  const auto [name, gpus, kind] = GetParam();
  const Cluster cluster = small_cluster(gpus, kind);
  const std::vector<GpuTransfer> transfers = uneven_all_to_all(gpus);
  const std::vector<Seconds> packets = in_packets(cluster, transfers);
  const Ours fluid = ours(cluster, transfers, NetworkEngine::kFluid);
  const Ours message = ours(cluster, transfers, NetworkEngine::kMessage);
  const double ratio = makespan(packets) / makespan(fluid.finish);
  const double difference = median_difference(fluid.finish, packets);
  fmt::print(
      "{}: packets {:.1f} us, fluid {:.1f} us ({:+.2f} %), messages {:.1f} us; bound {:.1f} "
      "us; median |fluid / packets - 1| of a transfer {:.2f} %\n",
      name,
      makespan(packets) * 1e6,
      makespan(fluid.finish) * 1e6,
      100 * (1 / ratio - 1),
      makespan(message.finish) * 1e6,
      fluid.bound.value * 1e6,
      100 * difference);
  EXPECT_GE(makespan(packets), fluid.bound.value * (1 - 1e-6));
  EXPECT_LT(std::abs(ratio - 1), 0.1);
  EXPECT_LT(difference, 0.2);
}

INSTANTIATE_TEST_SUITE_P(Ns3,
                         Packets,
                         ::testing::Values(PacketCase{"star8", 8, FabricKind::kSingleSwitch},
                                           PacketCase{"star16", 16, FabricKind::kSingleSwitch},
                                           PacketCase{"tree8", 8, FabricKind::kFatTree},
                                           PacketCase{"tree16", 16, FabricKind::kFatTree}),
                         [](const auto& tested) { return std::string(tested.param.name); });

}  // namespace
}  // namespace moesim::testing
