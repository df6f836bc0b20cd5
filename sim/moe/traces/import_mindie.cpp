// SPDX-License-Identifier: Apache-2.0
// Ascend MindIE's expert loads: prefill_<rank>.csv and decode_<rank>.csv, each [layer, expert of
// the rank] without a header; ranks stand side by side. Layers are read one at a time from all of
// them.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/mapped_text.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using Row = std::vector<std::int64_t>;

/// A number takes 32 bytes at most.
constexpr std::size_t kMostCounts = std::size_t{kMostExperts} * 32;

/// Whole numbers, also written as 12.0 or 1.2e+01.
std::int64_t count_of(const fs::path& path, std::string_view cell, std::int64_t line) {
  const std::size_t begin = std::min(cell.find_first_not_of(" \t\r"), cell.size());
  cell.remove_prefix(begin);
  cell = cell.substr(0, cell.find_last_not_of(" \t\r") + 1);
  double value = -1.0;
  const auto read = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (read.ec != std::errc() || read.ptr != cell.data() + cell.size() || !(value >= 0.0) ||
      value > static_cast<double>(kMostCount) ||
      value != static_cast<double>(static_cast<std::int64_t>(value))) {
    refuse(path,
           fmt::format("line {}: \"{}\"; expected whole counts up to {}, a layer a line",
                       line,
                       cell.substr(0, 40),
                       kMostCount));
  }
  return static_cast<std::int64_t>(value);
}

/// The counts of one rank, a layer a line; lines without any pass unread.
class RankFile {
 public:
  RankFile(fs::path path, const ImportOptions& options)
      : path_(std::move(path)), text_(path_, options.scratch, options.pace) {
    rewind();
    PaceCounter read(options.pace, "reading", text_.text().size(), kReadBetween);
    for (std::string_view cells; next(cells); ++layers_) {
      read.add(cells.size() + 1);
    }
    rewind();
  }

  [[nodiscard]] const fs::path& path() const { return path_; }
  [[nodiscard]] std::int64_t layers() const { return layers_; }
  void rewind() {
    rest_ = text_.text();
    line_ = 0;
  }
  /// Appends the next layer's counts; there is one. The first layer fixes how many they are.
  void append_to(Row& row) {
    const std::size_t before = row.size();
    std::string_view cells;
    (void)next(cells);
    if (cells.size() > kMostCounts) {
      refuse(
          path_,
          fmt::format(
              "line {}: {} bytes; expected at most {} counts", line_, cells.size(), kMostExperts));
    }
    for (bool more = true; more;) {
      const std::size_t comma = cells.find(',');
      more = comma != std::string_view::npos;
      row.push_back(count_of(path_, cells.substr(0, comma), line_));
      cells.remove_prefix(more ? comma + 1 : cells.size());
    }
    const std::size_t counts = row.size() - before;
    counts_ = counts_ == 0 ? counts : counts_;
    if (counts != counts_) {
      refuse(path_,
             fmt::format("line {}: {} counts, the first line has {}", line_, counts, counts_));
    }
  }

 private:
  bool next(std::string_view& cells) {
    while (!rest_.empty()) {
      cells = next_line(rest_);
      ++line_;
      if (cells.find_first_not_of(" \t\r") != std::string_view::npos) {
        return true;
      }
    }
    return false;
  }

  fs::path path_;
  MappedText text_;
  std::string_view rest_;
  std::int64_t line_ = 0;
  std::int64_t layers_ = 0;
  std::size_t counts_ = 0;  ///< in a line
};

/// Layer after layer, the ranks side by side.
void read_layers(std::vector<RankFile>& ranks, const TakeRow& take) {
  std::for_each(ranks.begin(), ranks.end(), [](RankFile& rank) { rank.rewind(); });
  Row row;
  for (std::int64_t layer = 0; layer < ranks.front().layers(); ++layer) {
    row.clear();
    for (RankFile& rank : ranks) {
      rank.append_to(row);
    }
    take(row);
  }
}

std::string phase_of(const fs::path& folder, const ImportOptions& options) {
  const bool prefill = !files_of(folder, "prefill_", ".csv").empty();
  const bool decode = !files_of(folder, "decode_", ".csv").empty();
  if (options.keep_phase.empty() && prefill && decode) {
    refuse(folder, "both prefill and decode loads; choose one with keep-phase");
  }
  return options.keep_phase.empty() ? (prefill ? "prefill" : "decode") : options.keep_phase;
}

}  // namespace

Dump read_mindie(const fs::path& folder, const ImportOptions& options) {
  const std::string phase = phase_of(folder, options);
  const std::vector<fs::path> files = files_of(folder, phase + "_", ".csv");
  if (files.empty()) {
    refuse(folder, fmt::format("no {}_<rank>.csv", phase));
  }
  const int top_k =
      required(folder, options.top_k, "top_k", "as counts do not say how many a token has");
  std::vector<RankFile> ranks;
  for (const fs::path& file : files) {
    const RankFile& rank = ranks.emplace_back(file, options);
    const std::int64_t layers = ranks.front().layers();
    if (rank.layers() == 0 || rank.layers() != layers) {
      refuse(file, fmt::format("{} layers, the first rank has {}", rank.layers(), layers));
    }
  }
  Row first;
  for (RankFile& rank : ranks) {
    rank.append_to(first);
  }
  const auto experts = static_cast<std::int64_t>(first.size());
  if (options.experts && *options.experts != experts) {
    refuse(folder,
           fmt::format("{} experts over {} ranks, {} were given; more than the model has are "
                       "physical slots, map them to logical experts first",
                       experts,
                       files.size(),
                       *options.experts));
  }
  Dump dump;
  dump.form = "MindIE expert loads";
  dump.pack.header = header_of(options);
  dump.pack.header.phase = phase;
  dump.pack.header.top_k = top_k;
  set_counts(
      folder,
      dump,
      {1, ranks.front().layers(), experts},
      [&](const TakeRow& take) { read_layers(ranks, take); },
      options);
  return dump;
}

}  // namespace moesim::traces
