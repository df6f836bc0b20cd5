// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/reading.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "sim/core/diagnostics.hpp"
#include "topology/builders.hpp"

namespace moesim::calibrate {
namespace {

bool is_word_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

const TableForm* form_of(const traces::CsvTable& table) {
  for (const auto* forms : {&expert_forms(), &exchange_forms()}) {
    for (const TableForm& form : *forms) {
      if (std::all_of(form.distinct_columns.begin(), form.distinct_columns.end(), [&](auto column) {
            return table.find_column(column).has_value();
          })) {
        return &form;
      }
    }
  }
  return nullptr;
}

}  // namespace

bool Hardware::is_gpu(std::string_view name) const {
  const std::string& own = spec_.gpu.name;
  for (std::size_t at = name.find(own); at != std::string_view::npos; at = name.find(own, at + 1)) {
    const std::size_t end = at + own.size();
    const bool starts = at == 0 || !is_word_character(name[at - 1]);
    if (starts && (end == name.size() || !is_word_character(name[end]))) {
      return true;
    }
  }
  return false;
}

std::shared_ptr<const Cluster> Hardware::cluster(int gpus, int domain_gpus) {
  ClusterSpec spec = spec_;
  if (domain_gpus > 0) {
    spec.scale_up.nodes_per_domain = std::max(1, domain_gpus / spec.gpus_per_node);
  }
  const int per_domain = spec.scale_up.nodes_per_domain * spec.gpus_per_node;
  spec.nodes = (gpus + per_domain - 1) / per_domain * spec.scale_up.nodes_per_domain;
  std::shared_ptr<const Cluster>& cluster = built_[{spec.nodes, spec.scale_up.nodes_per_domain}];
  if (cluster == nullptr) {
    cluster = std::make_shared<const Cluster>(build_cluster(spec));
  }
  return cluster;
}

const std::string& Row::text(std::string_view column) const {
  return table_.rows[index_][table_.column(column)];
}

double Row::number(std::string_view column) const {
  const std::string& cell = text(column);
  double value = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || end != cell.data() + cell.size() || !std::isfinite(value) ||
      value <= 0) {
    refuse(fmt::format("{}: \"{}\" is not a number above 0", column, cell));
  }
  return value;
}

int Row::count(std::string_view column) const {
  const double value = number(column);
  if (value != std::floor(value) || value > std::numeric_limits<std::int32_t>::max()) {
    refuse(
        fmt::format("{}: \"{}\" is not a whole number from 1 to 2^31 - 1", column, text(column)));
  }
  return static_cast<int>(value);
}

Seconds Row::microseconds(std::string_view column) const {
  return moesim::microseconds(number(column));
}

std::string Row::place() const {
  return fmt::format("{}:{}", table_.path.string(), table_.line_of_row[index_]);
}

void Row::refuse(std::string message) const {
  table_.refuse_row(index_, std::move(message));
}

void read_published_csv(const std::filesystem::path& path,
                        std::string_view text,
                        Hardware& hardware,
                        Reading& reading) {
  const traces::CsvTable table = traces::parse_csv(path, text);
  const TableForm* form = form_of(table);
  if (form == nullptr) {
    throw UserError(fmt::format(
        "{}: no known table has these columns: {}", path.string(), fmt::join(table.columns, ", ")));
  }
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    form->read(Row(table, i), hardware, reading);
  }
}

}  // namespace moesim::calibrate
