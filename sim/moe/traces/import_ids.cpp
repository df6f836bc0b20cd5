// SPDX-License-Identifier: Apache-2.0
// Expert ids [token, layer, slot] with an optional table of sequences.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <numeric>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/csv.hpp"
#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/spool.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostIndex = std::size_t{1} << 30U;

/// The first of the columns that the table has.
std::optional<std::size_t> first_column(const CsvTable& table,
                                        std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const auto column = table.find_column(name)) {
      return column;
    }
  }
  return std::nullopt;
}

std::string cell_or(const CsvTable& table,
                    std::size_t row,
                    std::optional<std::size_t> column,
                    const std::string& otherwise) {
  return column ? table.rows[row][*column] : otherwise;
}

/// Which sequences of the index the options leave out.
class IndexFilter {
 public:
  IndexFilter(const CsvTable& table, const ImportOptions& options)
      : table_(table),
        by_duplicate_(options.drop_duplicates),
        by_repetition_(options.drop_repetition) {
    if (by_duplicate_) {
      duplicate_ = table.column("duplicate_of");
    }
    if (by_repetition_) {
      repetition_ = table.column("has_repetition");
    }
  }

  bool drops(std::size_t row) {
    if (by_duplicate_ && !table_.rows[row][duplicate_].empty()) {
      ++duplicates_;
      return true;
    }
    if (by_repetition_ && truth(row)) {
      ++repetitions_;
      return true;
    }
    return false;
  }

  void describe(std::vector<std::string>& dropped) const {
    if (by_duplicate_) {
      dropped.push_back(
          fmt::format("{} duplicate sequence{}", duplicates_, duplicates_ == 1 ? "" : "s"));
    }
    if (by_repetition_) {
      dropped.push_back(
          fmt::format("{} sequence{} with repetition", repetitions_, repetitions_ == 1 ? "" : "s"));
    }
  }

 private:
  [[nodiscard]] bool truth(std::size_t row) const {
    const std::string& cell = table_.rows[row][repetition_];
    if (cell == "1" || cell == "True" || cell == "true") {
      return true;
    }
    if (cell == "0" || cell == "False" || cell == "false") {
      return false;
    }
    table_.refuse_row(row, fmt::format("has_repetition: \"{}\"; expected 0 or 1", cell));
  }

  const CsvTable& table_;
  bool by_duplicate_;
  bool by_repetition_;
  std::size_t duplicate_ = 0;   ///< column
  std::size_t repetition_ = 0;  ///< column
  int duplicates_ = 0;
  int repetitions_ = 0;
};

/// Puts the index's sequences that stay into the dump; returns which tokens stay.
std::vector<bool> read_index(const CsvTable& table, const ImportOptions& options, Dump& dump) {
  const std::size_t start_column = table.column("row_start");
  const std::size_t rows_column = table.column("rows");
  const auto domain_column = first_column(table, {"domain", "task", "dataset"});
  const auto source_column = first_column(table, {"source", "source_path"});
  IndexFilter filter(table, options);
  const auto tokens = static_cast<std::int64_t>(dump.pack.topk->size(0));
  std::vector<bool> keep(dump.pack.topk->size(0), false);
  std::int64_t next = 0;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const std::int64_t start = table.whole_number(i, start_column);
    const std::int64_t rows = table.whole_number(i, rows_column);
    if (start < next || rows == 0 || start > tokens || rows > tokens - start) {
      table.refuse_row(i,
                       fmt::format("rows {} to {}; expected one row or more, from row {} on, of "
                                   "the {} in the array",
                                   start,
                                   start + rows,
                                   next,
                                   tokens));
    }
    next = start + rows;
    if (!filter.drops(i)) {
      std::fill_n(keep.begin() + start, rows, true);
      dump.pack.sequences.push_back({.row_start = start,
                                     .rows = rows,
                                     .domain = cell_or(table, i, domain_column, options.domain),
                                     .source = cell_or(table, i, source_column, "")});
    }
  }
  filter.describe(dump.dropped);
  return keep;
}

NpyArray read_weights(const fs::path& path, const NpyArray& topk, const ImportOptions& options) {
  NpyArray weights = read_npy(path, options.scratch, options.pace);
  if (weights.type() != NumberType::kF2 && weights.type() != NumberType::kF4) {
    refuse(path, fmt::format("numbers are {}; expected <f2 or <f4", descr(weights.type())));
  }
  if (weights.shape() != topk.shape()) {
    refuse(path,
           fmt::format("shape {}; expected {}, the shape of the ids",
                       shape_text(weights.shape()),
                       shape_text(topk.shape())));
  }
  return weights;
}

/// The kept rows and layers of an array.
NpyArray gather(const NpyArray& array,
                const std::vector<bool>& keep_token,
                const std::vector<bool>& keep_layer,
                const ImportOptions& options) {
  constexpr std::size_t kMostBlock = std::size_t{1} << 20U;
  const std::size_t row = array.size(2) * bytes_per_number(array.type());
  const std::size_t token_bytes = array.size(1) * row;
  const bool all_layers =
      std::find(keep_layer.begin(), keep_layer.end(), false) == keep_layer.end();
  Spool kept(options.scratch.empty() ? scratch_folder() : options.scratch);
  PaceCounter tokens_done(options.pace, "copying what stays", array.size(0));
  std::vector<std::byte> block;
  for (std::size_t token = 0; token < array.size(0); ++token, tokens_done.add()) {
    const auto from = array.data().subspan(token * token_bytes, token_bytes);
    if (keep_token[token] && all_layers) {
      block.insert(block.end(), from.begin(), from.end());
    }
    for (std::size_t layer = 0; keep_token[token] && !all_layers && layer < keep_layer.size();
         ++layer) {
      if (keep_layer[layer]) {
        const auto piece = from.subspan(layer * row, row);
        block.insert(block.end(), piece.begin(), piece.end());
      }
    }
    if (block.size() >= kMostBlock || token + 1 == array.size(0)) {
      kept.append(block);
      block.clear();
    }
  }
  const auto tokens = std::count(keep_token.begin(), keep_token.end(), true);
  const auto layers = std::count(keep_layer.begin(), keep_layer.end(), true);
  return kept.take(array.type(), {tokens, layers, array.shape()[2]});
}

/// Sequences over the rows that stay.
std::vector<TraceSequence> renumbered(const std::vector<TraceSequence>& sequences,
                                      const std::vector<bool>& keep_token) {
  std::vector<TraceSequence> kept;
  std::int64_t next = 0;
  for (const TraceSequence& sequence : sequences) {
    const auto begin = keep_token.begin() + sequence.row_start;
    const std::int64_t rows = std::count(begin, begin + sequence.rows, true);
    if (rows > 0) {
      kept.push_back(
          {.row_start = next, .rows = rows, .domain = sequence.domain, .source = sequence.source});
    }
    next += rows;
  }
  return kept;
}

}  // namespace

void keep_rows(RoutePack& pack,
               const std::vector<bool>& keep_token,
               const std::vector<bool>& keep_layer,
               const ImportOptions& options) {
  pack.sequences = renumbered(pack.sequences, keep_token);
  pack.header.layers = static_cast<int>(std::count(keep_layer.begin(), keep_layer.end(), true));
  if (pack.weights) {
    pack.weights = gather(*pack.weights, keep_token, keep_layer, options);
  }
  pack.topk = gather(*pack.topk, keep_token, keep_layer, options);
}

Dump read_ids(const fs::path& input, NpyArray array, const ImportOptions& options) {
  Dump dump{.pack = {}, .form = "ids", .model_layers = {}, .dropped = {}};
  dump.pack.header = header_of(options);
  dump.pack.header.experts = required(input, options.experts, "experts", "to check the expert ids");
  check_agrees(input, options.top_k, "top_k", array.shape()[2]);
  dump.pack.header.top_k = static_cast<int>(array.shape()[2]);
  dump.pack.header.layers = static_cast<int>(array.shape()[1]);
  if (!options.weights.empty()) {
    dump.pack.weights = read_weights(options.weights, array, options);
  }
  dump.pack.topk = std::move(array);
  if (options.index.empty()) {
    dump.pack.sequences.push_back({.row_start = 0,
                                   .rows = dump.pack.topk->shape()[0],
                                   .domain = options.domain,
                                   .source = input.filename().string()});
  } else {
    const std::vector<bool> keep =
        read_index(parse_csv(options.index, read_text(options.index, kMostIndex)), options, dump);
    const auto outside = std::count(keep.begin(), keep.end(), false);
    if (outside > 0) {
      dump.dropped.push_back(fmt::format("{} rows outside the sequences that stay", outside));
      keep_rows(dump.pack, keep, std::vector<bool>(dump.pack.topk->size(1), true), options);
    }
  }
  return dump;
}

}  // namespace moesim::traces
