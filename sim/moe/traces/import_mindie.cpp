// SPDX-License-Identifier: Apache-2.0
// Ascend MindIE's expert loads: prefill_<rank>.csv and decode_<rank>.csv, each [layer, expert of
// the rank] without a header; ranks stand side by side.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "sim/moe/traces/gzip.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using Row = std::vector<std::int64_t>;

constexpr std::int64_t kMostCount = 0xffff'ffff;
constexpr std::size_t kMostText = std::size_t{1} << 28U;

/// Whole numbers, also written as 12.0 or 1.2e+01.
std::int64_t count_of(const fs::path& path, std::string_view cell, std::size_t line) {
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

std::vector<Row> read_matrix(const fs::path& path) {
  const std::string text = read_text(path, kMostText);
  std::string_view rest = text;
  std::vector<Row> rows;
  for (std::size_t line = 1; !rest.empty(); ++line) {
    std::string_view cells = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(cells.size() + 1, rest.size()));
    if (cells.find_first_not_of(" \t\r") == std::string_view::npos) {
      continue;
    }
    Row& row = rows.emplace_back();
    for (bool more = true; more;) {
      const std::size_t comma = cells.find(',');
      more = comma != std::string_view::npos;
      row.push_back(count_of(path, cells.substr(0, comma), line));
      cells.remove_prefix(more ? comma + 1 : cells.size());
    }
    if (row.size() != rows.front().size()) {
      refuse(
          path,
          fmt::format(
              "line {}: {} counts, the first line has {}", line, row.size(), rows.front().size()));
    }
  }
  return rows;
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
  std::vector<Row> layers;
  for (const fs::path& file : files) {
    const std::vector<Row> rows = read_matrix(file);
    layers.resize(layers.empty() ? rows.size() : layers.size());
    if (rows.empty() || rows.size() != layers.size()) {
      refuse(file, fmt::format("{} layers, the first rank has {}", rows.size(), layers.size()));
    }
    for (std::size_t layer = 0; layer < rows.size(); ++layer) {
      layers[layer].insert(layers[layer].end(), rows[layer].begin(), rows[layer].end());
    }
  }
  const auto experts = static_cast<std::int64_t>(layers.front().size());
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
  std::vector<std::int64_t> all;
  for (const Row& row : layers) {
    all.insert(all.end(), row.begin(), row.end());
  }
  set_counts(folder,
             dump,
             {1, static_cast<std::int64_t>(layers.size()), experts},
             rows_of(all, experts),
             options);
  return dump;
}

}  // namespace moesim::traces
