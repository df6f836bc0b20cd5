// SPDX-License-Identifier: Apache-2.0
// Dispatchers: accepted assignments -> transfers between ranks, with exact bytes and messages.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/moe/capacity.hpp"
#include "sim/moe/domains.hpp"
#include "sim/moe/model.hpp"
#include "sim/moe/placement.hpp"
#include "sim/moe/routing.hpp"

namespace moesim {

/// Bytes per (source rank, destination rank), row-major.
struct TrafficMatrix {
  int num_ranks = 0;
  std::vector<std::int64_t> bytes;  ///< [source * num_ranks + destination]

  explicit TrafficMatrix(int ranks = 0)
      : num_ranks(ranks),
        bytes(static_cast<std::size_t>(ranks) * static_cast<std::size_t>(ranks)) {}
  [[nodiscard]] std::int64_t& at(RankId source, RankId destination) {
    return bytes[source.index() * static_cast<std::size_t>(num_ranks) + destination.index()];
  }
  [[nodiscard]] std::int64_t at(RankId source, RankId destination) const {
    return bytes[source.index() * static_cast<std::size_t>(num_ranks) + destination.index()];
  }
};

enum class DispatcherKind {
  kPairwise,      ///< one copy of a token per distinct destination rank, straight there
  kHierarchical,  ///< one copy per distinct destination domain over the rail to the GPU of the same
                  ///< index, forwarded inside the scale-up domain (DeepEP high-throughput)
  kLowLatency,    ///< one message per assignment, no de-duplication (DeepEP low-latency)
  kNccl,          ///< every assignment's row, one message per pair of ranks (grouped send/recv)
  kAllGather,     ///< all tokens to all ranks; the combine is a reduce-scatter
  kOneSided,  ///< stores into peers' memory, loads in the combine (TensorRT-LLM, one NVLink domain)
  kTwoSided,  ///< through receivers' queues after a prepare round (TensorRT-LLM, one NVLink domain)
  kHybridEp,  ///< as kHierarchical by TMA and RDMA in one kernel (DeepEP's hybrid-ep branch)
  kTwoDimensional,  ///< every assignment's row, first to the GPU of the destination's index in the
                    ///< own domain, then over its rail, as two kernels (Tutel 2DH)
};

/// The words of dispatch.dispatcher, in the order of DispatcherKind.
inline constexpr std::array<std::string_view, 9> kDispatcherNames = {"pairwise",
                                                                     "hierarchical",
                                                                     "low_latency",
                                                                     "nccl",
                                                                     "all_gather",
                                                                     "one_sided",
                                                                     "two_sided",
                                                                     "hybrid_ep",
                                                                     "two_dimensional"};
[[nodiscard]] constexpr std::string_view dispatcher_name(DispatcherKind kind) {
  return kDispatcherNames[static_cast<std::size_t>(kind)];
}

/// Whether relays forward inside a domain what came over the rail: hierarchical, hybrid_ep,
/// all_gather.
[[nodiscard]] bool has_relays(DispatcherKind kind);
/// Whether a round that exchanges counts comes before the dispatch: all but low_latency, all_gather
/// and one_sided, whose receivers have room for whatever comes.
[[nodiscard]] bool has_notify(DispatcherKind kind);
/// Whether ranks beyond one scale-up domain must fill whole ones: where relays have an index.
[[nodiscard]] bool needs_whole_domains(DispatcherKind kind);
/// Whether a row travels for each assignment, not one for each rank that a token visits:
/// low_latency, nccl, two_dimensional.
[[nodiscard]] bool sends_assignments(DispatcherKind kind);
/// Whether every source may send a static share to every slot (overflow policy pad): dispatchers
/// without relays.
[[nodiscard]] bool sends_padded_shapes(DispatcherKind kind);
/// Whether all ranks must lie in one scale-up domain: one_sided, two_sided.
[[nodiscard]] bool needs_one_domain(DispatcherKind kind);

/// How a relay forwards.
enum class Forwarding {
  kPipelined,        ///< in chunks, while the rest still arrives
  kStoreAndForward,  ///< after the last byte has arrived
};

/// [dispatch]
struct DispatchSpec {
  DispatcherKind kind = DispatcherKind::kPairwise;
  Forwarding forwarding = Forwarding::kPipelined;
  bool scale_up =
      true;      ///< low_latency: false sends through the NIC even inside a domain (pure RDMA)
  int sms = 24;  ///< multiprocessors of one dispatch or combine kernel, for its copy rate
  int chunk_tokens =
      8;             ///< tokens of one chunk of a pipelined relay; 0: no time for the first chunk
  int channels = 0;  ///< nccl: peers that a rank sends to, and gets from, at a time; 0: all
  bool pxn = true;   ///< nccl: to another rail over the GPU of that rail in the own node
  bool notify = false;  ///< a round that exchanges the counts comes before the dispatch
};

/// Bytes of one copy of a token on the wire, part by part.
struct CopyBytes {
  std::int64_t payload = 0;  ///< hidden_size * dispatch element bytes
  std::int64_t scales = 0;   ///< fp8 dispatch: one fp32 per 128 elements
  std::int64_t indices = 0;  ///< expert ids and gate weights, or the message header
  std::int64_t combine = 0;  ///< hidden_size * combine element bytes

  [[nodiscard]] std::int64_t dispatch() const { return payload + scales + indices; }
};

/// DeepSeek-V3 (hidden 7168, fp8 dispatch, bf16 combine): payload + scales = 7168 + 56 * 4 = 7392,
/// combine 14336. Indices by dispatcher:
///   a 16 B header            low_latency (7408 B in all)
///   4 B gate weight          nccl, two_dimensional: a row belongs to one expert
///   4 B an expert of a domain  hybrid_ep: the gate weights of all of them, ceil(slots /
///   domains) top_k * (4 B expert id + 4 B gate weight)  all others
/// Source: DeepEP README, internode kernels and docs/Hybrid-EP_Implementation.md (hybrid-ep
/// branch); TensorRT-LLM tech blog 18; Megatron-Core token dispatcher. Checked by: dispatch_test.
/// @param domains  scale-up domains of the group   @param slots  of a layer, 0: one an expert
[[nodiscard]] CopyBytes copy_bytes(const ModelShape& model,
                                   DispatcherKind kind,
                                   int domains = 1,
                                   int slots = 0);

/// Bytes from one rank to another in one go.
struct Transfer {
  RankId source;
  RankId destination;
  std::int64_t bytes = 0;
  std::int64_t messages = 0;  ///< copies (pairwise, hierarchical) or assignments (low_latency)
  std::int32_t stage =
      0;  ///< 0: leaves first; 1: forwards what stage-0 transfers of its group bring
  std::int32_t group = -1;  ///< relay group of a two-stage dispatcher, -1: none
  std::int32_t round = 0;   ///< nccl: when its turn comes among its sender's, and its receiver's
};

/// Everything one phase (dispatch or combine) of one layer moves. Transfers with source ==
/// destination do not appear: those bytes stay on the GPU.
struct CommPlan {
  std::vector<Transfer> transfers;  ///< ordered by (stage, source, destination, group)
  std::int32_t num_groups = 0;
  std::int64_t row_bytes = 0;  ///< of one token's row: what a chunk is counted in
  TrafficMatrix
      logical;  ///< origin rank -> final rank, bytes of copies after de-duplication per rank
};

/// Both phases of a layer and what each rank computes.
struct LayerTraffic {
  CommPlan notify;  ///< empty unless the spec asks for it and the dispatcher has such a round
  CommPlan dispatch;
  CommPlan combine;
  std::vector<std::int64_t> slot_tokens;  ///< accepted assignments per slot, by SlotId
  std::vector<std::int64_t> slot_rows;    ///< rows each slot computes: slot_tokens, padding added
  std::vector<std::int64_t>
      rank_received;  ///< token copies that a rank computes on, its own included
  std::vector<std::int64_t>
      returned_rows;  ///< rows that a rank sums in the combine, its own included
};

/// What plan_traffic needs beside the routing.
struct DispatchSetup {
  std::vector<RankPlace> places;  ///< by RankId
  DispatchSpec spec;
  CopyBytes copy;
};

/// Pure function; equal inputs give equal bytes. Combine is the reverse of dispatch with its own
/// payload: each expert rank sums its own experts' rows of a token first (pairwise, hierarchical),
/// hierarchical relays sum again, so one row per (token, domain) crosses the rail; low_latency,
/// nccl and two_dimensional sum nothing on the way. One section per dispatcher:
/// docs/dispatchers.md. Source: DeepEP (deepseek-ai/DeepEP),
/// csrc/kernels/{intranode,internode,internode_ll}.cu, and what docs/dispatchers.md names. Valid
/// for: any placement; with replicas, accepted.slots says which slot serves each assignment.
/// Checked by: dispatch_test, dispatch_kinds_test, dispatch_property_test (INV-1, INV-5).
[[nodiscard]] LayerTraffic plan_traffic(const Routing& routing,
                                        const Accepted& accepted,
                                        const Placement& placement,
                                        const DispatchSetup& setup);

}  // namespace moesim
