// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/kv_network.hpp"

#include "sim/core/check.hpp"

namespace moesim {

KvNetwork::KvNetwork(const StepModel& step)
    : step_(step),
      finder_(step.cluster, step.path_policy, step.seed),
      capacity_(effective_capacities(step.cluster, step.constants)),
      network_(make_network(NetworkEngine::kFluid, capacity_)) {}

KvNetwork::~KvNetwork() = default;

void KvNetwork::start(std::int64_t id, const KvMove& move) {
  MOESIM_CHECK(move.from_gpu != move.to_gpu && move.per_rank.value > 0, "nothing to move");
  moves_.push_back({id, move.ranks});
  for (int rank = 0; rank < move.ranks; ++rank) {
    const Path path = finder_.find(GpuId{move.from_gpu + rank},
                                   GpuId{move.to_gpu + rank},
                                   static_cast<std::uint64_t>(moves_.size()));
    const FlowId flow =
        network_->start({.links = path.links, .bytes = move.per_rank, .latency = path.latency});
    MOESIM_CHECK(flow.index() == move_of_flow_.size(), "flows count from 0");
    move_of_flow_.push_back(static_cast<std::int64_t>(moves_.size()) - 1);
  }
  ++live_;
}

std::vector<std::int64_t> KvNetwork::advance(SimTime limit) {
  std::vector<std::int64_t> ended;
  for (const FlowId flow : network_->advance(limit)) {
    Live& move = moves_[static_cast<std::size_t>(move_of_flow_[flow.index()])];
    if (--move.flows == 0) {
      ended.push_back(move.id);
      --live_;
    }
  }
  return ended;
}

SimTime KvNetwork::now() const {
  return network_->now();
}

}  // namespace moesim
