// SPDX-License-Identifier: Apache-2.0
#include "sim/step/phase_rules.hpp"

#include <algorithm>
#include <numeric>

namespace moesim {

PhaseRules phase_rules(DispatcherKind kind, bool combine) {
  PhaseRules rules;
  switch (kind) {
    case DispatcherKind::kLowLatency:
      rules.kernel_waits_for_sends = false;
      break;
    case DispatcherKind::kOneSided:
      rules.pulled = rules.starts_together = combine;
      rules.ends_together = !combine;
      rules.kernel_waits_for_sends = !combine;
      break;
    case DispatcherKind::kTwoSided:
      rules.receiver_copies = true;
      break;
    case DispatcherKind::kTwoDimensional:
      rules.stage_is_a_kernel = true;
      break;
    case DispatcherKind::kPairwise:
    case DispatcherKind::kHierarchical:
    case DispatcherKind::kNccl:
    case DispatcherKind::kAllGather:
    case DispatcherKind::kHybridEp:
      break;
  }
  return rules;
}

std::vector<std::pair<std::size_t, std::size_t>> channel_order(const CommPlan& plan,
                                                               std::size_t num_ranks,
                                                               int channels) {
  std::vector<std::pair<std::size_t, std::size_t>> order;
  if (channels <= 0) {
    return order;
  }
  std::vector<std::size_t> by_round(plan.transfers.size());
  std::iota(by_round.begin(), by_round.end(), std::size_t{0});
  std::stable_sort(by_round.begin(), by_round.end(), [&](std::size_t a, std::size_t b) {
    return plan.transfers[a].round < plan.transfers[b].round;
  });
  const auto limit = static_cast<std::size_t>(channels);
  std::vector<std::vector<std::size_t>> sends(num_ranks);
  std::vector<std::vector<std::size_t>> receives(num_ranks);
  for (const std::size_t i : by_round) {
    const Transfer& t = plan.transfers[i];
    for (auto* queue : {&sends[t.source.index()], &receives[t.destination.index()]}) {
      if (queue->size() >= limit) {
        order.emplace_back((*queue)[queue->size() - limit], i);
      }
      queue->push_back(i);
    }
  }
  return order;
}

}  // namespace moesim
