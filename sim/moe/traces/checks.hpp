// SPDX-License-Identifier: Apache-2.0
// What can be wrong with a recorded routing though its file is whole: warm-up rows, interleaved
// sequences, copied layers, padding, physical ids. docs/traces.md says how each is recognised.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sim/moe/traces/npy.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

enum class Topic { kWarmup, kEqualLayers, kPadding, kIds, kInterleaving, kNeverChosen };

/// Whether a finding makes a dump unfit for replay, or only odd.
[[nodiscard]] bool is_error(Topic topic);

struct Finding {
  Topic topic = Topic::kIds;
  std::string message;  ///< lower case, no full stop
};

/// From this many equal rows at the start they are taken for a warm-up pass.
inline constexpr std::int64_t kWarmupRows = 16;
inline constexpr int kMostLag = 16;

/// Rows at the start that equal the first one in every layer; rows are axis 0.
[[nodiscard]] std::int64_t equal_rows_at_start(const NpyArray& array, const Pace& pace = {});

/// Pairs (layer, the earlier layer that it equals everywhere).
/// @param layer_axis  the axis of `array` that counts layers
[[nodiscard]] std::vector<std::pair<std::size_t, std::size_t>> equal_layers(const NpyArray& array,
                                                                            std::size_t layer_axis,
                                                                            const Pace& pace = {});

/// Mean share of top_k that tokens `lag` apart in one sequence have in common, by lag - 1 for lags
/// 1 to kMostLag, over all layers and at most the first 65,536 tokens. Lags without a pair: 0.
[[nodiscard]] std::vector<double> overlap_by_lag(const NpyArray& topk,
                                                 std::span<const TraceSequence> sequences,
                                                 int num_experts,
                                                 const Pace& pace = {});

/// Where ids are padding, out of range or repeated, and what each layer was asked for.
struct IdScan {
  struct Place {
    std::int64_t token = 0;
    std::int64_t layer = 0;
    std::int64_t slot = 0;
    std::int64_t expert = 0;
  };
  std::int64_t tokens = 0;
  std::vector<bool> padded_token;  ///< padding in a layer that is not all padding; empty: none has
  std::vector<std::int64_t> padded_rows;  ///< by layer
  std::int64_t out_of_range = 0;          ///< ids below -1 or too large
  std::int64_t largest = 0;
  Place first_out_of_range;
  std::int64_t repeats = 0;  ///< rows that name an expert twice
  Place first_repeat;
  std::vector<std::vector<std::int64_t>> load;  ///< [layer][expert], valid ids only

  [[nodiscard]] bool is_padding_layer(std::size_t layer) const {
    return tokens > 0 && padded_rows[layer] == tokens;
  }
  [[nodiscard]] std::int64_t padded_tokens() const;
};

/// @param topk [token, layer, slot] of any integer type
[[nodiscard]] IdScan scan_ids(const NpyArray& topk, int num_experts, const Pace& pace = {});

/// All findings, and what was measured on the way.
struct Checked {
  std::vector<Finding> findings;
  std::vector<double> overlap;  ///< by lag - 1; empty for counts
};

/// Checks expert ids [token, layer, slot].
[[nodiscard]] Checked check_topk(const NpyArray& topk,
                                 std::span<const TraceSequence> sequences,
                                 int num_experts,
                                 const Pace& pace = {});

/// Checks counts whose last two axes are layer and expert.
[[nodiscard]] Checked check_counts(const NpyArray& counts, const Pace& pace = {});

/// Checks a pack that has been read.
[[nodiscard]] Checked check_pack(const RoutePack& pack, const Pace& pace = {});

}  // namespace moesim::traces
