// SPDX-License-Identifier: Apache-2.0
// One uneven all-to-all of 32 GPUs on rails, simulated through moesim's libraries.
#include <cstdio>
#include <vector>

#include "sim/network/network.hpp"
#include "sim/network/workload.hpp"
#include "topology/builders.hpp"
#include "topology/paths.hpp"

int main() {
  using namespace moesim;

  ClusterSpec spec;  // four nodes of eight GPUs, a NIC of 50 GB/s beside each GPU
  spec.name = "example";
  spec.nodes = 4;
  spec.gpus_per_node = 8;
  spec.scale_up.bandwidth = gigabytes_per_second(450);
  spec.scale_up.latency = microseconds(1);
  spec.nic.per_node = 8;
  spec.nic.bandwidth = gigabytes_per_second(50);
  spec.nic.pcie_bandwidth = gigabytes_per_second(64);
  spec.nic.latency = microseconds(3);
  spec.fabric.kind = FabricKind::kRail;
  spec.fabric.link_bandwidth = gigabytes_per_second(50);
  const Cluster cluster = build_cluster(spec);
  const PathFinder finder(cluster, PathPolicy::kRailAligned, 1);

  WorkloadSpec load;  // 4096 tokens a GPU, each to 8 of 128 experts of unequal popularity
  load.gpus = 32;
  const std::vector<PairBytes> pairs = make_workload(load);

  std::vector<BatchFlow> flows;
  double total_bytes = 0.0;
  for (const PairBytes& pair : pairs) {
    const Path path = finder.find(pair.source, pair.target, flows.size());
    flows.push_back(
        {.links = path.links, .bytes = pair.bytes, .latency = path.latency, .start = {}});
    total_bytes += pair.bytes.value;
  }

  const std::vector<BytesPerSecond> capacity = usable_capacities(cluster);
  const auto network = make_network(NetworkEngine::kFluid, capacity);
  SimTime last{};
  for (const SimTime finish : run_batch(*network, flows).finish) {
    last = finish > last ? finish : last;
  }
  std::printf("%zu flows, %.1f MB: %.1f us; no schedule can beat %.1f us\n",
              flows.size(),
              total_bytes / 1e6,
              last.to_seconds().value * 1e6,
              makespan_bound(capacity, flows).value * 1e6);
}
