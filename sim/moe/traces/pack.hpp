// SPDX-License-Identifier: Apache-2.0
// A route pack: a folder that holds a recorded routing. Format: docs/traces.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/moe/routing.hpp"
#include "sim/moe/traces/npy.hpp"

namespace moesim::traces {

/// Stands for "no expert" (padding) in columns of expert ids; no pack holds it.
inline constexpr ExpertIndex kNoExpert = 0xffff;
inline constexpr int kMostExperts = 0xfffe;

/// pack.json; keys beside these are provenance and pass unread.
struct PackHeader {
  std::string model;
  int experts = 0;
  int top_k = 0;
  int layers = 0;
  int first_moe_layer = 0;
  std::string slot_order = "unknown";  ///< "weight_descending", "unsorted" or "unknown"
  std::string phase = "unknown";       ///< "prefill", "decode", "full_sequence", "training", ...
  std::string source;
  std::string licence;
  std::string expert_ids = "logical";
  std::optional<std::uint64_t> seed;
  std::vector<std::string> axes;  ///< of counts.npy
};

/// Consecutive rows that are consecutive tokens of one sequence.
struct TraceSequence {
  std::int64_t row_start = 0;
  std::int64_t rows = 0;
  std::string domain;
  std::string source;
};

/// One of `topk` (per-token pack) and `counts` (counts pack) is there.
struct RoutePack {
  std::filesystem::path folder;
  PackHeader header;
  std::optional<NpyArray> topk;          ///< [token, layer, slot], u1, u2 or i4
  std::optional<NpyArray> weights;       ///< [token, layer, slot], f2 or f4
  std::vector<TraceSequence> sequences;  ///< cover the tokens in order
  std::optional<NpyArray> counts;  ///< [step, layer, expert] or [step, source rank, layer, expert]

  [[nodiscard]] bool per_token() const { return topk.has_value(); }
  [[nodiscard]] std::int64_t tokens() const { return topk ? topk->shape()[0] : 0; }
  [[nodiscard]] std::int64_t steps() const { return counts ? counts->shape()[0] : 0; }
  /// Recorded source ranks of a counts pack; 1 when the axis is absent.
  [[nodiscard]] std::int64_t source_ranks() const {
    return counts && counts->axes() == 4 ? counts->shape()[1] : 1;
  }
  /// Recorded domains, sorted, each once.
  [[nodiscard]] std::vector<std::string> domains() const;
};

/// Reads and checks a whole pack: header, shapes, every id, sequences, weights, counts.
/// Throws EnvironmentError for a file that cannot be read, UserError for one that is wrong.
[[nodiscard]] RoutePack read_pack(const std::filesystem::path& folder, const Pace& pace = {});

enum class PackArrays {
  kGzip,   ///< .npy.gz: a third to a half of the size
  kPlain,  ///< .npy: memory-mapped when read, and written at the speed of the disk
};

/// Writes the folder whole or not at all: beside it first, then renamed. `extra_json` is a JSON
/// object of further keys for pack.json, or "". Ids of any integer type are narrowed to u1, or u2
/// for more than 256 experts. Throws UserError if the folder exists and `overwrite` is false.
void write_pack(const RoutePack& pack,
                const std::string& extra_json,
                bool overwrite,
                PackArrays arrays = PackArrays::kGzip,
                const Pace& pace = {});

/// The experts of one layer, [token * slots], widened; any negative or too large id is kNoExpert.
[[nodiscard]] std::vector<ExpertIndex> layer_ids(const NpyArray& topk, std::size_t layer);
/// The same of at most the first `most_tokens` tokens.
[[nodiscard]] std::vector<ExpertIndex> layer_ids(const NpyArray& topk,
                                                 std::size_t layer,
                                                 std::int64_t most_tokens);

/// Counts of one step (over all source ranks) and layer, [expert].
[[nodiscard]] std::vector<std::int64_t> step_counts(const RoutePack& pack,
                                                    std::size_t step,
                                                    std::size_t layer);
/// The same of one source rank.
[[nodiscard]] std::vector<std::int64_t> rank_counts(const RoutePack& pack,
                                                    std::size_t step,
                                                    std::size_t source_rank,
                                                    std::size_t layer);

}  // namespace moesim::traces
