// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/load_parts.hpp"

#include <fmt/core.h>

#include <filesystem>
#include <system_error>

#include "sim/core/atomic_file.hpp"
#include "sim/core/text.hpp"
#include "sim/scenario/cross_checks.hpp"
#include "sim/scenario/data_folder.hpp"
#include "sim/scenario/field_reader.hpp"
#include "sim/scenario/toml_reader.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

/// The one table of a scenario that a preset file holds; mistakes of other tables are nobody's.
Scenario load_table(const std::string& table, const fs::path& file) {
  ConfigTree tree;
  tree.put({.path = table,
            .value = TableHeader{},
            .place = {file.string(), 0, 0},
            .value_column = 0,
            .source_line = {}});
  tree.add_missing(parse_toml(read_file(file), file.string(), table + "."));
  FieldReading reading = read_fields(tree, file.string());
  std::vector<Diagnostic> mistakes = reading.diagnostics;
  const std::vector<Diagnostic> contradictions = cross_checks(tree, reading);
  mistakes.insert(mistakes.end(), contradictions.begin(), contradictions.end());
  std::erase_if(mistakes, [&](const Diagnostic& d) { return !d.key.starts_with(table + "."); });
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
  return std::move(reading.scenario);
}

}  // namespace

ClusterSpec load_cluster(const std::string& name) {
  const fs::path folder = data_folder() / "clusters";
  const fs::path file = is_path(name) ? fs::path(name) : folder / (name + ".toml");
  std::error_code failed;
  if (!fs::is_regular_file(file, failed)) {
    const std::vector<std::string> names = preset_names(folder);
    const std::vector<std::string_view> views(names.begin(), names.end());
    throw UserError(
        is_path(name)
            ? fmt::format("cluster {} is no file", quoted_text(name))
            : fmt::format("cluster {} is unknown; known: {}", quoted_text(name), word_list(views)));
  }
  return load_table("cluster", file).cluster;
}

CostConstants load_assumed_constants() {
  return load_table("calibration", data_folder() / "calibration/assumed.toml").calibration;
}

}  // namespace moesim
