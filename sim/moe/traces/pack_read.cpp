// SPDX-License-Identifier: Apache-2.0
// Reading a pack: which files it has, and whether they agree with each other.
#include <fmt/core.h>

#include <initializer_list>
#include <utility>

#include "sim/moe/traces/csv.hpp"
#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/pack.hpp"
#include "sim/moe/traces/pack_json.hpp"
#include "sim/moe/traces/pack_sound.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostText = std::size_t{1} << 30U;  // of pack.json and sequences.csv

/// folder/name or folder/name.gz; nothing if neither is there.
std::optional<fs::path> find_array(const fs::path& folder, const std::string& name) {
  const fs::path plain = folder / name;
  const fs::path packed = folder / (name + ".gz");
  std::error_code ignored;
  const bool has_plain = fs::exists(plain, ignored);
  const bool has_packed = fs::exists(packed, ignored);
  if (has_plain && has_packed) {
    refuse(folder, fmt::format("both {0} and {0}.gz; keep one", name));
  }
  if (has_plain || has_packed) {
    return has_plain ? plain : packed;
  }
  return std::nullopt;
}

void check_type(const fs::path& path,
                const NpyArray& array,
                std::initializer_list<NumberType> allowed) {
  std::string names;
  for (const NumberType type : allowed) {
    if (array.type() == type) {
      return;
    }
    names += fmt::format("{}{}", names.empty() ? "" : ", ", descr(type));
  }
  refuse(path, fmt::format("numbers are {}; expected one of {}", descr(array.type()), names));
}

void check_token_shape(const fs::path& path, const NpyArray& array, const PackHeader& header) {
  if (array.axes() != 3 || array.shape()[1] != header.layers || array.shape()[2] != header.top_k ||
      array.shape()[0] == 0) {
    refuse(path,
           fmt::format("shape {}; expected (tokens, {}, {}) as pack.json says, at least one token",
                       shape_text(array.shape()),
                       header.layers,
                       header.top_k));
  }
}

std::vector<TraceSequence> read_sequences(const fs::path& path, std::int64_t tokens) {
  const CsvTable table = parse_csv(path, read_text(path, kMostText));
  const std::size_t start_column = table.column("row_start");
  const std::size_t rows_column = table.column("rows");
  const std::size_t domain_column = table.column("domain");
  const std::size_t source_column = table.column("source");
  std::vector<TraceSequence> sequences;
  std::int64_t next = 0;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const std::int64_t start = table.whole_number(i, start_column);
    const std::int64_t rows = table.whole_number(i, rows_column);
    if (start != next) {
      table.refuse_row(
          i,
          fmt::format("row_start: {}; expected {}, where the sequence before ends", start, next));
    }
    if (rows == 0 || rows > tokens - next) {
      table.refuse_row(
          i,
          fmt::format("rows: {}; expected 1 to {}, the rows that are left", rows, tokens - next));
    }
    next += rows;
    sequences.push_back({.row_start = start,
                         .rows = rows,
                         .domain = table.rows[i][domain_column],
                         .source = table.rows[i][source_column]});
  }
  if (next != tokens) {
    refuse(path, fmt::format("the sequences have {} rows, the ids have {}", next, tokens));
  }
  return sequences;
}

void read_token_pack(RoutePack& pack, const fs::path& path, const Pace& pace) {
  pack.topk = read_npy(path, {}, pace);
  check_type(path, *pack.topk, {NumberType::kU1, NumberType::kU2, NumberType::kI4});
  check_token_shape(path, *pack.topk, pack.header);
  require_sound_ids(path, *pack.topk, pack.header.experts, pace);
  pack.sequences = read_sequences(pack.folder / "sequences.csv", pack.tokens());
  const std::optional<fs::path> weights = find_array(pack.folder, "weights.npy");
  if (!weights) {
    return;
  }
  pack.weights = read_npy(*weights, {}, pace);
  check_type(*weights, *pack.weights, {NumberType::kF2, NumberType::kF4});
  if (pack.weights->shape() != pack.topk->shape()) {
    refuse(*weights,
           fmt::format("shape {}; expected {}, the shape of the ids",
                       shape_text(pack.weights->shape()),
                       shape_text(pack.topk->shape())));
  }
  require_sound_weights(*weights, *pack.weights, pace);
}

void read_counts_pack(RoutePack& pack, const fs::path& path, const Pace& pace) {
  const std::vector<std::string> by_step = {"step", "layer", "expert"};
  const std::vector<std::string> by_rank = {"step", "source_rank", "layer", "expert"};
  if (pack.header.axes != by_step && pack.header.axes != by_rank) {
    refuse(pack.folder / "pack.json",
           "axes: expected [\"step\", \"layer\", \"expert\"] or "
           "[\"step\", \"source_rank\", \"layer\", \"expert\"]");
  }
  pack.counts = read_npy(path, {}, pace);
  const NpyArray& counts = *pack.counts;
  check_type(path,
             counts,
             {NumberType::kU1, NumberType::kU2, NumberType::kU4, NumberType::kI4, NumberType::kI8});
  const std::size_t axes = pack.header.axes.size();
  if (counts.axes() != axes || counts.count() == 0 ||
      counts.shape()[axes - 2] != pack.header.layers ||
      counts.shape()[axes - 1] != pack.header.experts) {
    refuse(path,
           fmt::format("shape {}; expected ({}, {}, {}) as pack.json says",
                       shape_text(counts.shape()),
                       axes == 3 ? "steps" : "steps, source ranks",
                       pack.header.layers,
                       pack.header.experts));
  }
  require_sound_counts(path, pack, pace);
}

}  // namespace

RoutePack read_pack(const fs::path& folder, const Pace& pace) {
  const fs::path header_path = folder / "pack.json";
  RoutePack pack{.folder = folder,
                 .header = parse_pack_json(header_path, read_text(header_path, kMostText)),
                 .topk = {},
                 .weights = {},
                 .sequences = {},
                 .counts = {}};
  const std::optional<fs::path> topk = find_array(folder, "topk.npy");
  const std::optional<fs::path> counts = find_array(folder, "counts.npy");
  if (topk && counts) {
    refuse(folder, "both topk.npy and counts.npy; keep one");
  }
  if (!topk && !counts) {
    refuse(folder, "no topk.npy, topk.npy.gz, counts.npy or counts.npy.gz");
  }
  if (topk) {
    read_token_pack(pack, *topk, pace);
  } else {
    read_counts_pack(pack, *counts, pace);
  }
  return pack;
}

}  // namespace moesim::traces
