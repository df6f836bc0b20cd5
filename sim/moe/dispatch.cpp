// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/dispatch.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "sim/core/check.hpp"
#include "sim/moe/traffic_counts.hpp"

namespace moesim {
namespace {

constexpr std::int64_t kScaleGroup = 128;        // elements that share one fp32 scale
constexpr std::int64_t kScaleBytes = 4;
constexpr std::int64_t kIndexBytes = 4 + 4;      // expert id and gate weight of one assignment
constexpr std::int64_t kMessageHeaderBytes = 16; // DeepEP low-latency: source index, padded to int4

bool ordered_before(const Transfer& a, const Transfer& b) {
  return std::tuple(a.stage, a.source, a.destination, a.group) <
         std::tuple(b.stage, b.source, b.destination, b.group);
}

}  // namespace

CopyBytes copy_bytes(const ModelShape& model, DispatcherKind kind) {
  const auto row = [&](Dtype dtype) {
    return std::llround(static_cast<double>(model.hidden_size) * bytes_per_element(dtype));
  };
  CopyBytes copy;
  copy.payload = row(model.dispatch_dtype);
  if (model.dispatch_dtype == Dtype::kFp8) {
    copy.scales = (model.hidden_size + kScaleGroup - 1) / kScaleGroup * kScaleBytes;
  }
  copy.indices = kind == DispatcherKind::kLowLatency ? kMessageHeaderBytes : model.top_k * kIndexBytes;
  copy.combine = row(model.combine_dtype);
  return copy;
}

AssignmentScan::AssignmentScan(const Routing& routing, const Accepted& accepted, const Placement& placement)
    : routing_(routing), accepted_(accepted) {
  for (const SlotId slot : placement.slot_of_expert) {
    rank_of_expert_.push_back(placement.rank_of_slot[slot.index()].value);
  }
}

std::vector<std::int64_t> AssignmentScan::slot_tokens(const Placement& placement) const {
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(placement.num_slots()));
  for (std::size_t a = 0; a < routing_.experts.size(); ++a) {
    const SlotId slot = placement.slot_of_expert[routing_.experts[a]];
    tokens[slot.index()] += accepted_.is_kept(a) ? 1 : 0;
  }
  return tokens;
}

void add_direct(CommPlan& plan, const CountMatrix& copies, std::int64_t bytes_per_copy, bool reversed) {
  for (std::size_t row = 0; row < copies.columns; ++row) {
    for (std::size_t column = 0; column < copies.columns; ++column) {
      const std::int64_t count = copies.at(row, column);
      if (row == column || count == 0) {
        continue;
      }
      const RankId source = id_at<RankId>(reversed ? column : row);
      const RankId destination = id_at<RankId>(reversed ? row : column);
      plan.transfers.push_back({.source = source,
                                .destination = destination,
                                .bytes = count * bytes_per_copy,
                                .messages = count,
                                .stage = 0,
                                .group = -1});
    }
  }
}

LayerTraffic plan_traffic(const Routing& routing,
                          const Accepted& accepted,
                          const Placement& placement,
                          const DispatchSetup& setup) {
  MOESIM_CHECK(routing.num_ranks() == placement.num_ranks, "routing and placement differ in ranks");
  const AssignmentScan scan(routing, accepted, placement);
  LayerTraffic traffic;
  switch (setup.spec.kind) {
    case DispatcherKind::kPairwise:
      traffic = plan_pairwise(scan, setup);
      break;
    case DispatcherKind::kHierarchical:
      traffic = plan_hierarchical(scan, setup);
      break;
    case DispatcherKind::kLowLatency:
      traffic = plan_low_latency(scan, setup);
      break;
  }
  traffic.slot_tokens = scan.slot_tokens(placement);
  std::sort(traffic.dispatch.transfers.begin(), traffic.dispatch.transfers.end(), ordered_before);
  std::sort(traffic.combine.transfers.begin(), traffic.combine.transfers.end(), ordered_before);
  return traffic;
}

}  // namespace moesim
