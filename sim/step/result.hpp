// SPDX-License-Identifier: Apache-2.0
// What a simulated step yields. Plain values; reports read nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/core/sim_time.hpp"
#include "sim/core/units.hpp"
#include "sim/step/attribution.hpp"
#include "topology/cut_bounds.hpp"

namespace moesim {

/// A duration over the ranks.
struct RankSpread {
  Seconds mean;
  Seconds max;
};

/// One of the busiest of its kind.
template <typename IdType>
struct Hot {
  IdType id;
  double value = 0.0;
};
struct HotPair {
  RankId source;
  RankId destination;
  std::int64_t bytes = 0;
};
struct HotLink {
  LinkId id;
  std::int64_t bytes = 0;  ///< dispatch and combine
  Seconds busy;            ///< bytes / usable capacity
};

struct LayerResult {
  int layer = 0;  ///< counted over MoE layers
  SimTime first_start;
  SimTime last_finish;
  Parts parts{};

  RankSpread gate;
  RankSpread dispatch;  ///< kernel start to the last byte in
  RankSpread experts;
  RankSpread combine;      ///< kernel start to the end of the weighted sum
  Seconds dispatch_bound;  ///< no network schedule of these transfers on these paths is faster
  Seconds combine_bound;
  CutBound dispatch_cut;  ///< the same whatever the paths; at most the bound above
  CutBound combine_cut;

  std::int64_t assignments = 0;
  std::int64_t dropped = 0;
  double gate_weight = 0.0;
  std::optional<double> dropped_weight;  ///< absent when the trace has no gate weights
  std::int64_t diverted = 0;             ///< accepted by another expert than the one first asked
  std::int64_t tokens = 0;
  std::int64_t lost_tokens = 0;     ///< tokens that no expert accepts
  std::int64_t padding_rows = 0;    ///< rows that padded slots compute without a token
  double rank_imbalance = 0.0;      ///< max/mean accepted assignments over ranks
  double expert_imbalance = 0.0;    ///< max/mean routed assignments over experts, before capacity
  std::int64_t dispatch_bytes = 0;  ///< over all transfers, relays counted again
  std::int64_t combine_bytes = 0;
  std::int64_t scale_out_bytes = 0;  ///< of both phases, over NICs

  std::vector<std::int64_t> expert_load;   ///< routed assignments per expert
  std::vector<std::int64_t> rank_tokens;   ///< accepted assignments per rank
  std::vector<Hot<ExpertId>> hot_experts;  ///< most loaded first, at most kHotSpots
  std::vector<Hot<RankId>> hot_ranks;      ///< by accepted assignments
  std::vector<HotPair> hot_pairs;          ///< by dispatch bytes between origin and final rank
  std::vector<HotLink> hot_links;          ///< by busy time

  [[nodiscard]] SimTime makespan() const { return last_finish - first_start; }
};

inline constexpr std::size_t kHotSpots = 5;

/// Dispatch bytes between ranks (origin to final rank, as in hot_pairs), summed over layers; ranks
/// that follow each other share a cell where there are more than kMostPairCells.
struct PairLoad {
  int ranks_per_cell = 1;
  int cells = 0;                    ///< of a row
  std::vector<std::int64_t> bytes;  ///< cells * cells, by source
};
inline constexpr int kMostPairCells = 64;

struct StepResult {
  int step = 0;
  int repeats = -1;  ///< an earlier step of the replay with the same routing, -1: none
  SimTime makespan;
  Parts parts{};  ///< of the step's critical path, through all layers
  std::vector<LayerResult> layers;
  std::vector<std::int64_t> link_bytes;  ///< by LinkId, all layers
  std::int64_t flows = 0;
  std::int64_t network_events = 0;
  SimTime background_finish =
      {};  ///< of the bytes beside the step (StepModel::background); 0: none
  PairLoad pairs = {};
};

}  // namespace moesim
