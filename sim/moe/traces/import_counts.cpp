// SPDX-License-Identifier: Apache-2.0
// Counts per expert: arrays of three to five axes, and tables.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "sim/moe/traces/csv.hpp"
#include "sim/moe/traces/import_forms.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostCount = 0xffff'ffff;

std::vector<std::int64_t> widened(const fs::path& input, const NpyArray& array) {
  std::vector<std::int64_t> counts(array.count());
  visit_integer_type(array.type(), [&](auto zero) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const auto count = number_at<decltype(zero)>(array.data().data(), i);
      if (std::cmp_less(count, 0) || std::cmp_greater(count, kMostCount)) {
        refuse(input, fmt::format("count {}; expected 0 to {}", count, kMostCount));
      }
      counts[i] = to_int64(count);
    }
  });
  return counts;
}

/// [step, rank, layer, microbatch, expert] -> [step, rank, layer, expert], microbatches added up.
std::vector<std::int64_t> summed_microbatches(const std::vector<std::int64_t>& counts,
                                              std::size_t microbatches,
                                              std::size_t experts) {
  std::vector<std::int64_t> sums(counts.size() / microbatches);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    sums[i / (microbatches * experts) * experts + i % experts] += counts[i];
  }
  return sums;
}

/// [step, rank, layer, microbatch, expert] -> [step * microbatch, rank, layer, expert].
std::vector<std::int64_t> microbatches_as_steps(const std::vector<std::int64_t>& counts,
                                                const std::vector<std::int64_t>& shape) {
  const auto rows_of_step = static_cast<std::size_t>(shape[1] * shape[2]);
  const auto microbatches = static_cast<std::size_t>(shape[3]);
  const auto experts = static_cast<std::size_t>(shape[4]);
  std::vector<std::int64_t> steps(counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::size_t microbatch = i / experts % microbatches;
    const std::size_t row = i / experts / microbatches;
    const std::size_t step = row / rows_of_step * microbatches + microbatch;
    steps[(step * rows_of_step + row % rows_of_step) * experts + i % experts] = counts[i];
  }
  return steps;
}

/// The cells of a counts table that the options keep.
struct TableCells {
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> count;  ///< by layer and expert
  std::set<std::string> models;
  std::set<std::string> domains;
  std::set<std::int64_t> layers;
  std::int64_t most_expert = 0;
};

TableCells read_cells(const CsvTable& table, const ImportOptions& options) {
  const auto model = table.find_column("model");
  const auto domain = table.find_column("domain");
  const std::size_t layer = table.column("layer");
  const std::size_t expert = table.column("expert");
  const std::size_t count = table.column("count");
  TableCells cells;
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const auto& row = table.rows[i];
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
    const std::int64_t at_layer = table.whole_number(i, layer);
    const std::int64_t at_expert = table.whole_number(i, expert);
    if (at_expert >= kMostExperts) {
      table.refuse_row(i,
                       fmt::format("expert: {}; expected less than {}", at_expert, kMostExperts));
    }
    const auto [_, fresh] =
        cells.count.try_emplace({at_layer, at_expert}, table.whole_number(i, count));
    if (!fresh) {
      table.refuse_row(
          i,
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

void finish_counts(Dump& dump, int top_k) {
  const std::vector<std::int64_t>& shape = dump.pack.counts->shape();
  PackHeader& header = dump.pack.header;
  header.experts = static_cast<int>(shape.back());
  header.layers = static_cast<int>(shape[shape.size() - 2]);
  header.top_k = top_k;
  header.axes = {"step", "layer", "expert"};
  if (shape.size() == 4) {
    header.axes.insert(header.axes.begin() + 1, "source_rank");
  }
}

}  // namespace

void set_counts(const fs::path& input,
                Dump& dump,
                const std::vector<std::int64_t>& shape,
                const std::vector<std::int64_t>& counts,
                int top_k) {
  dump.pack.counts = narrow_counts(input, shape, counts);
  finish_counts(dump, top_k);
  if (!dump.model_layers.empty()) {
    dump.pack.header.first_moe_layer = static_cast<int>(dump.model_layers.front());
  }
}

NpyArray narrow_counts(const fs::path& input,
                       std::vector<std::int64_t> shape,
                       const std::vector<std::int64_t>& counts) {
  const std::int64_t most = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  if (most > kMostCount) {
    refuse(input, fmt::format("count {}; expected 0 to {}", most, kMostCount));
  }
  if (most <= 0xff) {
    return make_array(
        NumberType::kU1, std::move(shape), std::vector<std::uint8_t>(counts.begin(), counts.end()));
  }
  if (most <= 0xffff) {
    return make_array(NumberType::kU2,
                      std::move(shape),
                      std::vector<std::uint16_t>(counts.begin(), counts.end()));
  }
  return make_array(
      NumberType::kU4, std::move(shape), std::vector<std::uint32_t>(counts.begin(), counts.end()));
}

Dump read_counts(const fs::path& input, const NpyArray& array, const ImportOptions& options) {
  Dump dump{.pack = {}, .form = "counts", .model_layers = {}, .dropped = {}};
  dump.pack.header = header_of(options);
  const int top_k = required(input, options.top_k, "top_k", "to draw tokens from counts");
  check_agrees(input, options.experts, "experts", array.shape().back());
  std::vector<std::int64_t> shape = array.shape();
  std::vector<std::int64_t> counts = widened(input, array);
  if (shape.size() == 5) {
    const std::int64_t microbatches = shape[3];
    if (options.microbatches == Microbatches::kSum) {
      counts = summed_microbatches(
          counts, static_cast<std::size_t>(microbatches), static_cast<std::size_t>(shape[4]));
    } else {
      counts = microbatches_as_steps(counts, shape);
      shape[0] *= microbatches;
    }
    shape.erase(shape.begin() + 3);
  }
  dump.pack.counts = narrow_counts(input, std::move(shape), counts);
  finish_counts(dump, top_k);
  return dump;
}

Dump read_counts_table(const fs::path& input,
                       const std::string& text,
                       const ImportOptions& options) {
  const CsvTable table = parse_csv(input, text);
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
  dump.model_layers.assign(cells.layers.begin(), cells.layers.end());
  std::vector<std::int64_t> counts;
  for (const std::int64_t layer : cells.layers) {
    for (std::int64_t expert = 0; expert < experts; ++expert) {
      const auto cell = cells.count.find({layer, expert});
      counts.push_back(cell == cells.count.end() ? 0 : cell->second);
    }
  }
  const auto layers = static_cast<std::int64_t>(cells.layers.size());
  dump.pack.counts = narrow_counts(input, {1, layers, experts}, counts);
  finish_counts(dump, top_k);
  dump.pack.header.first_moe_layer = static_cast<int>(*cells.layers.begin());
  return dump;
}

}  // namespace moesim::traces
