// SPDX-License-Identifier: Apache-2.0
// Counts per expert: arrays of three to five axes, and tables.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "sim/core/pace_counter.hpp"
#include "sim/moe/traces/csv_reader.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/mapped_text.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/spool.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;

/// Adds row `row` of the array, by expert.
void add_row(const fs::path& input,
             const NpyArray& array,
             std::size_t row,
             std::span<std::int64_t> sums) {
  visit_integer_type(array.type(), [&](auto zero) {
    for (std::size_t e = 0; e < sums.size(); ++e) {
      const auto count = number_at<decltype(zero)>(array.data().data(), row * sums.size() + e);
      if (std::cmp_less(count, 0) || std::cmp_greater(count, kMostCount)) {
        refuse(input, fmt::format("count {}; expected 0 to {}", count, kMostCount));
      }
      sums[e] += to_int64(count);
    }
  });
}

/// The rows of [step, rank, layer, microbatch, expert]: microbatches added up, or each a step of
/// its own (step * microbatches + microbatch). An array of fewer axes has one microbatch.
class ArrayRows {
 public:
  ArrayRows(const fs::path& input, const NpyArray& array, Microbatches microbatches)
      : input_(input),
        array_(array),
        microbatches_(array.axes() == 5 ? array.size(3) : 1),
        rows_of_step_(array.axes() == 5 ? array.size(1) * array.size(2)
                                        : array.count() / array.size(0) / experts()),
        summed_(microbatches == Microbatches::kSum) {}

  void operator()(const TakeRow& take) const {
    std::vector<std::int64_t> row(experts());
    const std::size_t parts = summed_ ? microbatches_ : 1;
    for (std::size_t i = 0; i < array_.count() / experts() / parts; ++i) {
      std::fill(row.begin(), row.end(), std::int64_t{0});
      for (std::size_t part = 0; part < parts; ++part) {
        add_row(input_, array_, summed_ ? i * parts + part : row_of_step(i), row);
      }
      take(row);
    }
  }

 private:
  [[nodiscard]] std::size_t experts() const { return array_.size(array_.axes() - 1); }
  /// Where the array has row i of [step * microbatch, rank, layer].
  [[nodiscard]] std::size_t row_of_step(std::size_t i) const {
    const std::size_t step = i / rows_of_step_;
    return (step / microbatches_ * rows_of_step_ + i % rows_of_step_) * microbatches_ +
           step % microbatches_;
  }

  const fs::path& input_;
  const NpyArray& array_;
  std::size_t microbatches_;
  std::size_t rows_of_step_;
  bool summed_;
};

/// The cells of a counts table that the options keep.
struct TableCells {
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> count;  ///< by layer and expert
  std::set<std::string> models;
  std::set<std::string> domains;
  std::set<std::int64_t> layers;
  std::int64_t most_expert = 0;
};

TableCells read_cells(CsvReader& table, const ImportOptions& options) {
  const auto model = table.find_column("model");
  const auto domain = table.find_column("domain");
  const std::size_t layer = table.column("layer");
  const std::size_t expert = table.column("expert");
  const std::size_t count = table.column("count");
  TableCells cells;
  CsvRow line;
  PaceCounter read(options.pace, "reading", 0);
  while (table.next(line)) {
    read.add();
    const std::vector<std::string>& row = line.cells;
    const bool model_fits = !model || options.model.empty() || row[*model] == options.model;
    if (model) {
      cells.models.insert(row[*model]);
    }
    if (domain && model_fits) {
      cells.domains.insert(row[*domain]);
    }
    if (!model_fits || (domain && !options.domain.empty() && row[*domain] != options.domain)) {
      continue;
    }
    const std::int64_t at_layer = table.whole_number(line, layer);
    const std::int64_t at_expert = table.whole_number(line, expert);
    if (at_expert >= kMostExperts) {
      table.refuse_row(line,
                       fmt::format("expert: {}; expected less than {}", at_expert, kMostExperts));
    }
    const auto [_, fresh] =
        cells.count.try_emplace({at_layer, at_expert}, table.whole_number(line, count));
    if (!fresh) {
      table.refuse_row(
          line,
          fmt::format("layer {}, expert {} a second time; choose one model and one domain "
                      "(models: {}; domains: {})",
                      at_layer,
                      at_expert,
                      fmt::join(cells.models, ", "),
                      fmt::join(cells.domains, ", ")));
    }
    cells.layers.insert(at_layer);
    cells.most_expert = std::max(cells.most_expert, at_expert);
  }
  return cells;
}

void finish_counts(Dump& dump) {
  const std::vector<std::int64_t>& shape = dump.pack.counts->shape();
  PackHeader& header = dump.pack.header;
  header.experts = static_cast<int>(shape.back());
  header.layers = static_cast<int>(shape[shape.size() - 2]);
  header.axes = {"step", "layer", "expert"};
  if (shape.size() == 4) {
    header.axes.insert(header.axes.begin() + 1, "source_rank");
  }
  if (!dump.model_layers.empty()) {
    header.first_moe_layer = static_cast<int>(dump.model_layers.front());
  }
}

template <typename T>
void spool_as(Spool& spool, const CountRows& rows, PaceCounter& done) {
  std::vector<T> narrow;
  rows([&](std::span<const std::int64_t> row) {
    done.add();
    narrow.assign(row.begin(), row.end());
    spool.append(std::as_bytes(std::span(narrow)));
  });
}

NpyArray narrow_counts(const fs::path& input,
                       std::vector<std::int64_t> shape,
                       const CountRows& rows,
                       const ImportOptions& options) {
  std::int64_t most = 0;
  PaceCounter done(options.pace, "reading", 0, 256);
  rows([&](std::span<const std::int64_t> row) {
    done.add();
    most = std::max(most, *std::max_element(row.begin(), row.end()));
  });
  if (most > kMostCount) {
    refuse(input, fmt::format("count {}; expected 0 to {}", most, kMostCount));
  }
  Spool spool(options.scratch);
  if (most <= 0xff) {
    spool_as<std::uint8_t>(spool, rows, done);
    return spool.take(NumberType::kU1, std::move(shape));
  }
  if (most <= 0xffff) {
    spool_as<std::uint16_t>(spool, rows, done);
    return spool.take(NumberType::kU2, std::move(shape));
  }
  spool_as<std::uint32_t>(spool, rows, done);
  return spool.take(NumberType::kU4, std::move(shape));
}

}  // namespace

CountRows rows_of(const std::vector<std::int64_t>& counts, std::int64_t experts) {
  return [&counts, experts](const TakeRow& take) {
    const auto row = static_cast<std::size_t>(experts);
    for (std::size_t at = 0; at < counts.size(); at += row) {
      take(std::span(counts).subspan(at, row));
    }
  };
}

void set_counts(const fs::path& input,
                Dump& dump,
                std::vector<std::int64_t> shape,
                const CountRows& rows,
                const ImportOptions& options) {
  dump.pack.counts = narrow_counts(input, std::move(shape), rows, options);
  finish_counts(dump);
}

Dump read_counts(const fs::path& input, const NpyArray& array, const ImportOptions& options) {
  Dump dump{.pack = {}, .form = "counts", .model_layers = {}, .dropped = {}};
  dump.pack.header = header_of(options);
  dump.pack.header.top_k = required(input, options.top_k, "top_k", "to draw tokens from counts");
  check_agrees(input, options.experts, "experts", array.shape().back());
  std::vector<std::int64_t> shape = array.shape();
  if (shape.size() == 5) {
    shape[0] *= options.microbatches == Microbatches::kSteps ? shape[3] : 1;
    shape.erase(shape.begin() + 3);
  }
  set_counts(input, dump, std::move(shape), ArrayRows(input, array, options.microbatches), options);
  return dump;
}

Dump read_counts_table(const fs::path& input, const ImportOptions& options) {
  const MappedText file(input, options.scratch, options.pace);
  CsvReader table(input, file.text());
  const int top_k = required(input, options.top_k, "top_k", "to draw tokens from counts");
  const TableCells cells = read_cells(table, options);
  if (cells.count.empty()) {
    refuse(input,
           fmt::format("no rows of model \"{}\" and domain \"{}\" (models: {}; domains: {})",
                       options.model,
                       options.domain,
                       fmt::join(cells.models, ", "),
                       fmt::join(cells.domains, ", ")));
  }
  const std::int64_t experts = options.experts.value_or(static_cast<int>(cells.most_expert) + 1);
  if (cells.most_expert >= experts) {
    refuse(input, fmt::format("expert {}; expected 0 to {}", cells.most_expert, experts - 1));
  }
  Dump dump{.pack = {}, .form = "counts table", .model_layers = {}, .dropped = {}};
  dump.pack.header = header_of(options);
  dump.pack.header.top_k = top_k;
  dump.model_layers.assign(cells.layers.begin(), cells.layers.end());
  std::vector<std::int64_t> counts;
  for (const std::int64_t layer : cells.layers) {
    for (std::int64_t expert = 0; expert < experts; ++expert) {
      const auto cell = cells.count.find({layer, expert});
      counts.push_back(cell == cells.count.end() ? 0 : cell->second);
    }
  }
  const auto layers = static_cast<std::int64_t>(cells.layers.size());
  set_counts(input, dump, {1, layers, experts}, rows_of(counts, experts), options);
  return dump;
}

}  // namespace moesim::traces
