// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/predict_exchange.hpp"

#include <utility>

#include "sim/moe/capacity.hpp"
#include "sim/moe/placement.hpp"

namespace moesim::calibrate {
namespace {

void lengthen(CommPlan& plan, std::int64_t repeat) {
  for (Transfer& t : plan.transfers) {
    t.bytes *= repeat;
    t.messages *= repeat;
  }
}

}  // namespace

ExchangeWork prepare_exchange(std::shared_ptr<const Cluster> cluster,
                              const DispatchSpec& dispatch,
                              const Routing& routing,
                              CopyBytes copy,
                              std::int64_t repeat) {
  ExchangeWork work;
  work.cluster = std::move(cluster);
  work.dispatch = dispatch;
  work.ranks = routing.num_ranks();
  DispatchSetup setup{.places = {}, .spec = dispatch, .copy = copy};
  for (int r = 0; r < work.ranks; ++r) {
    const GpuPlace& gpu = work.cluster->place(GpuId{r});
    setup.places.push_back({gpu.domain, gpu.index_in_domain});
  }
  work.traffic = plan_traffic(routing,
                              apply_capacity(routing, CapacitySpec{}),
                              contiguous_placement(routing.num_experts, work.ranks),
                              setup);
  lengthen(work.traffic.dispatch, repeat);
  lengthen(work.traffic.combine, repeat);
  return work;
}

ExchangeWork prepare_all_to_all(std::shared_ptr<const Cluster> cluster,
                                int ranks,
                                std::int64_t bytes_each) {
  ExchangeWork work;
  work.cluster = std::move(cluster);
  work.dispatch.kind = DispatcherKind::kNccl;
  work.ranks = ranks;
  for (int s = 0; s < ranks; ++s) {
    for (int d = 0; d < ranks; ++d) {
      if (s != d) {
        work.traffic.dispatch.transfers.push_back(
            {.source = RankId{s}, .destination = RankId{d}, .bytes = bytes_each, .messages = 1});
      }
    }
  }
  return work;
}

double bytes_per_rank(const ExchangeWork& work) {
  double sum = 0;
  for (const Transfer& t :
       (work.combine ? work.traffic.combine : work.traffic.dispatch).transfers) {
    sum += static_cast<double>(t.bytes);
  }
  return sum / work.ranks;
}

Seconds predict_exchange(const ExchangeWork& work, const CostConstants& constants) {
  const ExchangeSetup setup{.cluster = work.cluster.get(),
                            .dispatch = work.dispatch,
                            .path_policy = PathPolicy::kEcmp,
                            .ranks = work.ranks};
  return work.combine ? time_combine(setup, work.traffic.combine, constants)
                      : time_dispatch(setup, work.traffic.dispatch, constants);
}

}  // namespace moesim::calibrate
