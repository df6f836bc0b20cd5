// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/dispatch.hpp"

#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/dispatch_parts.hpp"

namespace moesim {
namespace {

constexpr std::int64_t kIndexBytes = 8;         // 4 B expert id + 4 B gate weight, DeepEP
constexpr std::int64_t kLowLatencyHeader = 16;  // DeepEP low-latency kernels: source token index
constexpr std::int64_t kWeightBytes = 4;        // one fp32 gate weight

void check_sizes(const Routing& routing,
                 const Accepted& accepted,
                 const Placement& placement,
                 const DispatchSetup& setup) {
  const auto ranks = static_cast<std::size_t>(placement.num_ranks);
  MOESIM_CHECK(routing.num_ranks() == placement.num_ranks, "routing and placement: ranks differ");
  MOESIM_CHECK(setup.places.size() == ranks, "one place per rank");
  MOESIM_CHECK(placement.num_experts() == routing.num_experts,
               "routing and placement: experts differ");
  MOESIM_CHECK(routing.experts.size() == static_cast<std::size_t>(routing.num_tokens()) *
                                             static_cast<std::size_t>(routing.top_k),
               "a routing has top_k experts a token");
  const std::size_t entries =
      accepted.experts.empty() ? routing.experts.size() : accepted.experts.size();
  MOESIM_CHECK(accepted.keep.empty() || accepted.keep.size() == entries,
               "one verdict per assignment");
}

/// Bytes origin -> final rank, and with `reverse` the way back.
TrafficMatrix logical_matrix(const CountMatrix& copies, std::int64_t bytes_each, bool reverse) {
  TrafficMatrix matrix(static_cast<int>(copies.columns));
  for (std::size_t s = 0; s < copies.columns; ++s) {
    for (std::size_t d = 0; d < copies.columns; ++d) {
      if (s != d) {
        const RankId source = id_at<RankId>(reverse ? d : s);
        const RankId destination = id_at<RankId>(reverse ? s : d);
        matrix.at(source, destination) = copies.at(s, d) * bytes_each;
      }
    }
  }
  return matrix;
}

std::vector<std::int64_t> column_sums(const CountMatrix& matrix) {
  std::vector<std::int64_t> sums(matrix.columns);
  for (std::size_t i = 0; i < matrix.counts.size(); ++i) {
    sums[i % matrix.columns] += matrix.counts[i];
  }
  return sums;
}

/// Rows each source sums in the combine: what comes back, and what its own experts made.
std::vector<std::int64_t> returned_rows(const RankCounts& counts,
                                        const Domains& domains,
                                        DispatcherKind kind) {
  const CountMatrix& direct = sends_assignments(kind) ? counts.assignments : counts.copies;
  const bool relays = has_relays(kind);
  std::vector<std::int64_t> rows(direct.columns);
  for (std::size_t source = 0; source < direct.columns; ++source) {
    for (std::size_t rank = 0; rank < direct.columns; ++rank) {
      const bool inside = domains.of_rank[rank] == domains.of_rank[source];
      rows[source] += relays && !inside ? 0 : direct.at(source, rank);
    }
    for (std::size_t domain = 0; relays && domain < domains.size(); ++domain) {
      rows[source] += domain == domains.of_rank[source] ? 0 : counts.relayed.at(source, domain);
    }
  }
  return rows;
}

std::int64_t index_bytes(const ModelShape& model, DispatcherKind kind, int domains, int slots) {
  switch (kind) {
    case DispatcherKind::kLowLatency:
      return kLowLatencyHeader;
    case DispatcherKind::kNccl:
    case DispatcherKind::kTwoDimensional:
      return kWeightBytes;
    case DispatcherKind::kHybridEp:
      return kWeightBytes * ((slots + domains - 1) / domains);
    default:
      return kIndexBytes * model.top_k;
  }
}

/// The transfers of both phases.
void plan_phases(const RankCounts& counts,
                 const Domains& domains,
                 const DispatchSetup& setup,
                 LayerTraffic& traffic) {
  switch (setup.spec.kind) {
    case DispatcherKind::kPairwise:
    case DispatcherKind::kOneSided:
    case DispatcherKind::kTwoSided:
      return plan_pairwise(counts, setup.copy, traffic);
    case DispatcherKind::kHierarchical:
    case DispatcherKind::kHybridEp:
      return plan_hierarchical(counts, domains, setup.copy, traffic);
    case DispatcherKind::kLowLatency:
      return plan_low_latency(counts, setup.copy, traffic);
    case DispatcherKind::kNccl:
      return plan_nccl(counts, domains, setup.copy, traffic);
    case DispatcherKind::kTwoDimensional:
      return plan_two_dimensional(counts, domains, setup.copy, traffic);
    case DispatcherKind::kAllGather:
      return;  // moves tokens, not copies
  }
}

}  // namespace

bool has_relays(DispatcherKind kind) {
  return kind == DispatcherKind::kHierarchical || kind == DispatcherKind::kHybridEp ||
         kind == DispatcherKind::kAllGather;
}

bool has_notify(DispatcherKind kind) {
  return kind != DispatcherKind::kLowLatency && kind != DispatcherKind::kAllGather &&
         kind != DispatcherKind::kOneSided;
}

bool needs_whole_domains(DispatcherKind kind) {
  return has_relays(kind) || kind == DispatcherKind::kTwoDimensional;
}

bool sends_assignments(DispatcherKind kind) {
  return kind == DispatcherKind::kLowLatency || kind == DispatcherKind::kNccl ||
         kind == DispatcherKind::kTwoDimensional;
}

bool sends_padded_shapes(DispatcherKind kind) {
  return kind == DispatcherKind::kPairwise || kind == DispatcherKind::kLowLatency ||
         needs_one_domain(kind);
}

bool needs_one_domain(DispatcherKind kind) {
  return kind == DispatcherKind::kOneSided || kind == DispatcherKind::kTwoSided;
}

CopyBytes copy_bytes(const ModelShape& model, DispatcherKind kind, int domains, int slots) {
  MOESIM_CHECK(domains > 0, "ranks lie in domains");
  CopyBytes copy;
  copy.scales = activation_scale_bytes(model.hidden_size, model.dispatch_dtype);
  copy.payload = activation_row_bytes(model.hidden_size, model.dispatch_dtype) - copy.scales;
  copy.indices = index_bytes(model, kind, domains, slots > 0 ? slots : model.num_experts);
  copy.combine = activation_row_bytes(model.hidden_size, model.combine_dtype);
  return copy;
}

RoutedTokens routed_tokens(const Routing& routing, const Placement& placement) {
  RoutedTokens routed{.num_slots = placement.num_slots(), .tokens = {}};
  for (std::size_t r = 0; r + 1 < routing.token_begin.size(); ++r) {
    routed.tokens.push_back(routing.token_begin[r + 1] - routing.token_begin[r]);
  }
  return routed;
}

LayerTraffic plan_counted(RankCounts counts,
                          const RoutedTokens& routed,
                          const Domains& domains,
                          const DispatchSetup& setup) {
  MOESIM_CHECK(counts.slot_rows.empty() || sends_padded_shapes(setup.spec.kind),
               "this dispatcher sends no padded shapes");
  LayerTraffic traffic;
  plan_phases(counts, domains, setup, traffic);
  if (setup.spec.kind == DispatcherKind::kAllGather) {
    plan_all_gather(routed.tokens, domains, setup.copy, traffic);
  }
  if (setup.spec.notify) {
    traffic.notify = plan_notify(setup.spec.kind, routed, domains);
  }
  traffic.dispatch.row_bytes = setup.copy.dispatch();
  traffic.combine.row_bytes = setup.copy.combine;
  traffic.dispatch.logical = logical_matrix(counts.copies, setup.copy.dispatch(), false);
  traffic.combine.logical = logical_matrix(counts.copies, setup.copy.combine, true);
  traffic.rank_received = column_sums(counts.copies);
  traffic.returned_rows = returned_rows(
      setup.spec.kind == DispatcherKind::kAllGather ? full_counts(routed.tokens, domains) : counts,
      domains,
      setup.spec.kind);
  traffic.slot_rows = counts.slot_rows.empty() ? counts.slot_tokens : std::move(counts.slot_rows);
  traffic.slot_tokens = std::move(counts.slot_tokens);
  return traffic;
}

LayerTraffic plan_traffic(const Routing& routing,
                          const Accepted& accepted,
                          const Placement& placement,
                          const DispatchSetup& setup) {
  check_sizes(routing, accepted, placement, setup);
  const Domains domains = make_domains(setup.places);
  return plan_counted(count_ranks(routing, accepted, placement, domains),
                      routed_tokens(routing, placement),
                      domains,
                      setup);
}

}  // namespace moesim
