// SPDX-License-Identifier: Apache-2.0
// Cases that a model of bytes over one link gets wrong: which resource binds, shown by doubling it.
// 4096 tokens a rank, hidden 7168, top-8, fp8 dispatch. Nominal rates of the hardware; constants as
// in scenarios/calibration/assumed.toml. Published figures: deepseek-ai/DeepEP README @d8dd185.
#include <gtest/gtest.h>

#include "sim/step/exchange.hpp"
#include "tests/moe/group_limited.hpp"
#include "topology/builders.hpp"

namespace moesim {
namespace {

constexpr int kTokens = 4096;
constexpr int kSampled = 512;  // tokens a rank that are routed; each stands for kTokens / kSampled

CostConstants constants() {
  CostConstants c;
  c.scale_up_efficiency = 0.75;
  c.scale_out_efficiency = 0.87;
  c.communication_start = microseconds(12);
  return c;
}

/// A 400 Gb/s NIC a GPU; one ideal switch, as good as any full fat tree.
ClusterSpec hgx(int nodes, double nvlink_gb_s) {
  ClusterSpec spec;
  spec.name = "hgx";
  spec.nodes = nodes;
  spec.gpus_per_node = 8;
  spec.scale_up = {1, gigabytes_per_second(nvlink_gb_s), microseconds(0.6)};
  spec.nic = {8, gigabytes_per_second(50), gigabytes_per_second(63), microseconds(2.68)};
  spec.fabric = {FabricKind::kSingleSwitch, 32, 1.0, gigabytes_per_second(50), microseconds(0.3)};
  return spec;
}
ClusterSpec h800(int nodes) {
  return hgx(nodes, 200);
}
ClusterSpec h100(int nodes) {
  return hgx(nodes, 450);
}
ClusterSpec nvl72(int racks) {
  ClusterSpec spec = hgx(18 * racks, 900);
  spec.gpus_per_node = 4;
  spec.scale_up.nodes_per_domain = 18;
  spec.nic.per_node = 4;
  return spec;
}
ClusterSpec with_twice_the_nics(ClusterSpec spec) {
  spec.nic.bandwidth = spec.nic.bandwidth * 2.0;
  spec.nic.pcie_bandwidth = spec.nic.pcie_bandwidth * 2.0;
  return spec;
}
ClusterSpec with_twice_the_nvlink(ClusterSpec spec) {
  spec.scale_up.bandwidth = spec.scale_up.bandwidth * 2.0;
  return spec;
}

/// The transfers of a dispatch, and what runs them.
struct Dispatch {
  Cluster cluster;
  DispatchSpec spec;
  CommPlan plan;
  int ranks = 0;

  Dispatch(const ClusterSpec& hardware, const Routing& routing, DispatcherKind kind)
      : cluster(build_cluster(hardware)), spec{.kind = kind}, ranks(routing.num_ranks()) {
    ModelShape model;
    model.hidden_size = 7168;
    model.num_experts = routing.num_experts;
    model.top_k = 8;
    model.dispatch_dtype = Dtype::kFp8;
    DispatchSetup setup{.places = {}, .spec = spec, .copy = copy_bytes(model, kind)};
    for (int r = 0; r < ranks; ++r) {
      const GpuPlace& gpu = cluster.place(GpuId{r});
      setup.places.push_back({gpu.domain, gpu.index_in_domain});
    }
    plan =
        plan_traffic(routing, {}, contiguous_placement(routing.num_experts, ranks), setup).dispatch;
    for (Transfer& t : plan.transfers) {
      t.bytes *= kTokens / kSampled;
      t.messages *= kTokens / kSampled;
    }
  }
  /// Bytes that a rank sends, on average, to ranks of its own domain or to others.
  [[nodiscard]] double sent_bytes(bool inside) const {
    double sum = 0;
    for (const Transfer& t : plan.transfers) {
      const bool same = cluster.place(GpuId{t.source.value}).domain ==
                        cluster.place(GpuId{t.destination.value}).domain;
      sum += same == inside ? static_cast<double>(t.bytes) : 0.0;
    }
    return sum / ranks;
  }
  [[nodiscard]] double scale_up_us() const { return sent_bytes(true) / (900e9 * 0.75) * 1e6; }
  [[nodiscard]] double nic_us() const { return sent_bytes(false) / (50e9 * 0.87) * 1e6; }
};

double dispatch_us(const ClusterSpec& hardware, const Routing& routing, DispatcherKind kind) {
  const Dispatch d(hardware, routing, kind);
  return time_dispatch({.cluster = &d.cluster,
                        .dispatch = d.spec,
                        .path_policy = PathPolicy::kEcmp,
                        .ranks = d.ranks},
                       d.plan,
                       constants())
             .value *
         1e6;
}

constexpr DispatcherKind kHierarchical = DispatcherKind::kHierarchical;

// 6.52 copies a token, 7/16 to other ranks of the own node and 7/16 forwarded in the other: 174.3
// MB leave over NVLink at 150 GB/s, 1162 us; 30.4 MB over the NIC at 43.5 GB/s, 700 us. Published:
// 1403.
TEST(HardCases, EP16OnH800IsBoundByForwardingOverNvlink) {
  const Routing routing = testing::uniform_routing(256, 16, kSampled);
  const double us = dispatch_us(h800(2), routing, kHierarchical);
  EXPECT_NEAR(us, 1162, 0.08 * 1162);
  EXPECT_GT(dispatch_us(with_twice_the_nics(h800(2)), routing, kHierarchical), 0.97 * us);
  EXPECT_LT(dispatch_us(with_twice_the_nvlink(h800(2)), routing, kHierarchical), 0.75 * us);
}

// The same bytes over NVLink at 337 GB/s take 517 us: the NIC binds.
TEST(HardCases, EP16OnH100IsBoundByTheNic) {
  const Routing routing = testing::uniform_routing(256, 16, kSampled);
  const double us = dispatch_us(h100(2), routing, kHierarchical);
  EXPECT_NEAR(us, 700, 0.1 * 700);
  EXPECT_GT(dispatch_us(with_twice_the_nvlink(h100(2)), routing, kHierarchical), 0.95 * us);
  EXPECT_LT(dispatch_us(with_twice_the_nics(h100(2)), routing, kHierarchical), 0.85 * us);
}

// Four of eight groups: 3.984 * 7/8 copies a token over the NIC, 106.5 MB at 43.5 GB/s = 2448 us.
// Published: 51 GB/s of 3.984 * 4096 * 7392 B, 2365 us. Without the limit a third more is sent.
TEST(HardCases, EP64WithGroupLimitedGatingIsBoundByTheNic) {
  const Routing limited = testing::group_limited_routing(64, kSampled);
  const double us = dispatch_us(h800(8), limited, kHierarchical);
  EXPECT_NEAR(us, 2365, 0.1 * 2365);
  EXPECT_LT(dispatch_us(with_twice_the_nics(h800(8)), limited, kHierarchical), 0.75 * us);
  const Routing free = testing::uniform_routing(256, 64, kSampled);
  EXPECT_NEAR(dispatch_us(h800(8), free, kHierarchical) / us, 4.64 / 3.486, 0.07);
}

// One rack: 7.6 copies a token leave over NVLink, and no NIC is used. Two racks: nearly every token
// has an expert in the other one, so a copy of each crosses a NIC, 30.5 MB at 43.5 GB/s, twice as
// long as all NVLink traffic. With one copy per rank, four of them cross the NIC.
TEST(HardCases, NVL72IsBoundByTheNicOnceASecondRackTakesPart) {
  const Routing one = testing::uniform_routing(288, 72, kSampled);
  const Routing two = testing::uniform_routing(288, 144, kSampled);
  const Dispatch inside(nvl72(1), one, kHierarchical);
  EXPECT_NEAR(inside.scale_up_us(), 344, 0.02 * 344);
  EXPECT_EQ(inside.sent_bytes(false), 0);
  const Dispatch across(nvl72(2), two, kHierarchical);
  EXPECT_NEAR(across.nic_us(), 700, 0.02 * 700);
  EXPECT_GT(across.nic_us(), 1.9 * across.scale_up_us());
  EXPECT_GT(Dispatch(nvl72(2), two, DispatcherKind::kPairwise).nic_us(), 3.8 * across.nic_us());
}

}  // namespace
}  // namespace moesim
