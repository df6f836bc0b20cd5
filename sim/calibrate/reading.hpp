// SPDX-License-Identifier: Apache-2.0
// What every reader of measurements shares: the hardware that points are predicted for, the points
// found, and numbers out of tables.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sim/calibrate/point.hpp"
#include "sim/moe/traces/csv.hpp"
#include "topology/cluster.hpp"

namespace moesim::calibrate {

/// Points of one or more files, and what was passed over.
struct Reading {
  std::vector<Point> points;
  std::map<std::string, int> skipped;  ///< reason -> rows
};

/// The cluster of the calibration, at the sizes that rows need.
class Hardware {
 public:
  explicit Hardware(ClusterSpec spec) : spec_(std::move(spec)) {}

  [[nodiscard]] const ClusterSpec& spec() const { return spec_; }
  /// True when a table's name of a GPU ("NVIDIA H100 80GB HBM3", "H800 SXM") is this one's.
  [[nodiscard]] bool is_gpu(std::string_view name) const;
  /// A cluster of at least `gpus` GPUs in whole domains; `domain_gpus` > 0: in domains of that
  /// many.
  [[nodiscard]] std::shared_ptr<const Cluster> cluster(int gpus, int domain_gpus = 0);

 private:
  ClusterSpec spec_;
  std::map<std::pair<int, int>, std::shared_ptr<const Cluster>> built_;
};

/// One row of a table, by column name. Mistakes are UserErrors with file and line.
class Row {
 public:
  Row(const traces::CsvTable& table, std::size_t index) : table_(table), index_(index) {}

  [[nodiscard]] const std::string& text(std::string_view column) const;
  [[nodiscard]] bool is_empty(std::string_view column) const { return text(column).empty(); }
  /// A whole number from 1 to 2^31 - 1.
  [[nodiscard]] int count(std::string_view column) const;
  /// A finite number above 0.
  [[nodiscard]] double number(std::string_view column) const;
  [[nodiscard]] Seconds microseconds(std::string_view column) const;
  [[nodiscard]] std::string place() const;
  [[noreturn]] void refuse(std::string message) const;

 private:
  const traces::CsvTable& table_;
  std::size_t index_;
};

/// Reads one published table into points; the kernel of each is in docs/calibration.md.
/// Throws UserError for a table that none of the known forms fits.
void read_published_csv(const std::filesystem::path& path,
                        std::string_view text,
                        Hardware& hardware,
                        Reading& reading);

/// Rows that describe an expert operator, an exchange; used by read_published_csv.
using RowReader = void (*)(const Row& row, Hardware& hardware, Reading& reading);
struct TableForm {
  std::string_view name;                           ///< of the published table
  std::vector<std::string_view> distinct_columns;  ///< a table with all of these has this form
  RowReader read;
};
[[nodiscard]] const std::vector<TableForm>& expert_forms();
[[nodiscard]] const std::vector<TableForm>& exchange_forms();

}  // namespace moesim::calibrate
