// SPDX-License-Identifier: Apache-2.0
// Turns routing dumps of other tools into route packs, and refuses those that would mislead.
// Forms read: docs/traces.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/moe/traces/checks.hpp"

namespace moesim::traces {

/// What a .npy of three axes holds.
enum class ArrayKind {
  kAuto,    ///< counts if the last axis is as long as there are experts, else ids
  kIds,     ///< [token, layer, slot]
  kCounts,  ///< [step, layer, expert]
};

enum class Microbatches {
  kSum,    ///< the microbatches of a step are added up
  kSteps,  ///< every microbatch is a step of its own
};

struct ImportOptions {
  std::string model;           ///< name of the model; of a CSV: only its rows are read
  std::optional<int> experts;  ///< needed for .npy ids; elsewhere checked if given
  std::optional<int> top_k;    ///< needed for counts; elsewhere checked if given
  int first_moe_layer = 0;     ///< index in the model of the first layer
  std::string slot_order = "unknown";
  std::string phase = "unknown";
  std::string source;
  std::string licence;
  std::optional<std::uint64_t> seed;

  std::filesystem::path index;    ///< CSV of the sequences of .npy ids; none: one sequence
  std::filesystem::path weights;  ///< gate weights of .npy ids, same shape, f2 or f4; may be none
  ArrayKind kind = ArrayKind::kAuto;
  Microbatches microbatches = Microbatches::kSum;
  std::string domain;      ///< of a counts CSV: only its rows; elsewhere: of sequences without one
  std::string keep_phase;  ///< JSONL: "prefill" or "decode"; empty: both

  bool drop_duplicates = false;    ///< sequences that the index marks duplicate_of another
  bool drop_repetition = false;    ///< sequences that the index marks has_repetition
  bool drop_warmup = false;        ///< equal rows or steps at the start, all of them
  bool drop_padding = false;       ///< layers and tokens with padding
  bool keep_equal_layers = false;  ///< layers that copy an earlier one are a warning, not an error
  bool overwrite = false;          ///< replace an existing pack
  bool plain = false;              ///< write .npy, not .npy.gz

  /// Where copies that are too large for memory lie meanwhile; import_trace puts the pack's folder.
  std::filesystem::path scratch;
  Pace pace = {};  ///< hears how far the work is; one that throws leaves no pack
};

/// What was made, and what its user should know.
struct ImportReport {
  std::string form;                   ///< "ids", "counts", "counts table" or "JSON lines"
  std::int64_t tokens = 0;            ///< of a per-token pack
  std::int64_t steps = 0;             ///< of a counts pack
  std::vector<std::string> dropped;   ///< sentences: what the options left out
  std::vector<std::string> warnings;  ///< sentences: what looks odd
  Checked checked;                    ///< all that was found, of what was written
};

/// Reads `input`, checks it and writes the pack folder `pack` whole or not at all.
/// Throws UserError with everything that is wrong, EnvironmentError for files.
ImportReport import_trace(const std::filesystem::path& input,
                          const std::filesystem::path& pack,
                          const ImportOptions& options);

}  // namespace moesim::traces
