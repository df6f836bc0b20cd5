// SPDX-License-Identifier: Apache-2.0
#include "sim/study/result_table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

#include "sim/calibrate/report_path.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"

namespace moesim {
namespace {

bool holds(const Condition& condition, const Scalar& value) {
  const std::weak_ordering order = order_of(value, condition.value);
  const bool nothing = std::holds_alternative<std::monostate>(value);
  switch (condition.is) {
    case Condition::Is::kEqual:
      return order == 0;
    case Condition::Is::kNotEqual:
      return order != 0;
    case Condition::Is::kBelow:
      return !nothing && order < 0;
    case Condition::Is::kAtMost:
      return !nothing && order <= 0;
    case Condition::Is::kAbove:
      return !nothing && order > 0;
    case Condition::Is::kAtLeast:
      return !nothing && order >= 0;
  }
  return false;
}

/// Cells of the points of one study.
class Cells {
 public:
  Cells(const ResultStore& store, const StudyRecord& study)
      : store_(store), study_(study), points_(store.points(study.name)) {}

  [[nodiscard]] const std::vector<PointRecord>& points() const { return points_; }

  [[nodiscard]] std::vector<std::string> all_columns(bool with_times) const {
    std::vector<std::string> columns = {"point", "state"};
    columns.insert(columns.end(), study_.keys.begin(), study_.keys.end());
    columns.insert(columns.end(), study_.metrics.begin(), study_.metrics.end());
    columns.emplace_back("message");
    if (with_times) {
      columns.emplace_back("seconds");
    }
    return columns;
  }

  /// A column over all points.
  std::vector<Scalar> column(const std::string& name) {
    std::vector<Scalar> cells(points_.size());
    std::transform(points_.begin(), points_.end(), cells.begin(), [&](const PointRecord& point) {
      return known(point, name);
    });
    const bool is_fixed = name == "point" || name == "state" || name == "message" ||
                          name == "seconds" || is_key(name);
    if (!is_fixed) {
      look_up(name, cells);
    }
    return cells;
  }

 private:
  [[nodiscard]] bool is_key(const std::string& name) const {
    return std::any_of(points_.begin(), points_.end(), [&](const PointRecord& point) {
      return std::any_of(point.settings.begin(), point.settings.end(), [&](const auto& setting) {
        return setting.first == name;
      });
    });
  }

  static Scalar known(const PointRecord& point, const std::string& name) {
    if (name == "point") {
      return std::int64_t{point.number};
    }
    if (name == "state") {
      return std::string(to_text(point.state));
    }
    if (name == "message") {
      return point.message.empty() ? Scalar() : Scalar(point.message);
    }
    if (name == "seconds") {
      return point.seconds ? Scalar(*point.seconds) : Scalar();
    }
    for (const auto& [key, value] : point.settings) {
      if (key == name) {
        return value;
      }
    }
    for (const Metric& metric : point.metrics) {
      if (metric.path == name) {
        return metric.value;
      }
    }
    return {};
  }

  /// What was not kept beside a report is taken out of it.
  void look_up(const std::string& name, std::vector<Scalar>& cells) {
    const auto& metrics = study_.metrics;
    bool any = std::find(metrics.begin(), metrics.end(), name) != metrics.end();
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (points_[i].state == PointState::kDone && !is_kept(i, name)) {
        cells[i] = from_report(points_[i], name);
      }
      any = any || is_kept(i, name) || !std::holds_alternative<std::monostate>(cells[i]);
    }
    if (!any) {
      refuse(name);
    }
  }

  [[nodiscard]] bool is_kept(std::size_t point, const std::string& name) const {
    const auto& metrics = points_[point].metrics;
    return std::any_of(
        metrics.begin(), metrics.end(), [&](const Metric& m) { return m.path == name; });
  }

  [[nodiscard]] Scalar from_report(const PointRecord& point, const std::string& name) const {
    const std::optional<std::string> text = store_.report(point.key);
    if (!text) {
      return {};
    }
    const nlohmann::ordered_json report = nlohmann::ordered_json::parse(*text);
    const nlohmann::ordered_json* found = calibrate::at_path(report, name);
    return found == nullptr ? Scalar() : scalar_of(*found);
  }

  [[noreturn]] void refuse(const std::string& name) const {
    const std::vector<std::string> known = all_columns(true);
    const std::string near = nearest_word(name, known);
    throw UserError(
        fmt::format("column {}: no point has it; {}columns: {}; or a path into a report",
                    quoted_text(name),
                    near.empty() ? "" : fmt::format("did you mean \"{}\"? ", near),
                    fmt::join(known, ", ")));
  }

  const ResultStore& store_;
  const StudyRecord& study_;
  std::vector<PointRecord> points_;
};

/// The rows of `kept` in the order of a column; rows that are alike stay in order.
void sort_rows(std::vector<std::size_t>& kept, const std::vector<Scalar>& by, bool descending) {
  std::stable_sort(kept.begin(), kept.end(), [&](std::size_t a, std::size_t b) {
    const auto order = order_of(by[a], by[b]);
    return descending ? order > 0 : order < 0;
  });
}

}  // namespace

Condition parse_condition(const std::string& text) {
  static constexpr std::pair<std::string_view, Condition::Is> kSigns[] = {
      {"!=", Condition::Is::kNotEqual},
      {"<=", Condition::Is::kAtMost},
      {">=", Condition::Is::kAtLeast},
      {"=", Condition::Is::kEqual},
      {"<", Condition::Is::kBelow},
      {">", Condition::Is::kAbove}};
  const std::size_t at = text.find_first_of("!<>=");
  for (const auto& [sign, is] : kSigns) {
    if (at != std::string::npos && at > 0 && text.compare(at, sign.size(), sign) == 0) {
      return {.column = std::string(trimmed(text.substr(0, at))),
              .is = is,
              .value = scalar_of_text(trimmed(std::string_view(text).substr(at + sign.size())))};
    }
  }
  throw UserError(fmt::format("condition {}: expected COLUMN=VALUE, with =, !=, <, <=, > or >=",
                              quoted_text(text)));
}

ResultTable query_results(const ResultStore& store,
                          const StudyRecord& study,
                          const ResultQuery& query) {
  Cells cells(store, study);
  ResultTable table;
  table.points = static_cast<int>(cells.points().size());
  std::vector<std::size_t> kept(cells.points().size());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    kept[i] = i;
  }
  for (const std::string& text : query.where) {
    const Condition condition = parse_condition(text);
    const std::vector<Scalar> column = cells.column(condition.column);
    std::erase_if(kept, [&](std::size_t i) { return !holds(condition, column[i]); });
  }
  if (!query.sort.empty()) {
    sort_rows(kept, cells.column(query.sort), query.descending);
  }
  table.columns = query.columns.empty() ? cells.all_columns(query.with_times) : query.columns;
  table.rows.resize(kept.size());
  for (const std::string& name : table.columns) {
    const std::vector<Scalar> column = cells.column(name);
    for (std::size_t r = 0; r < kept.size(); ++r) {
      table.rows[r].push_back(column[kept[r]]);
    }
  }
  return table;
}

StudyRecord find_study(const ResultStore& store, const std::string& name) {
  const std::vector<StudyRecord> studies = store.studies();
  const auto found = std::find_if(
      studies.begin(), studies.end(), [&](const StudyRecord& study) { return study.name == name; });
  if (found != studies.end()) {
    return *found;
  }
  if (name.empty() && studies.size() == 1) {
    return studies.front();
  }
  std::vector<std::string> names;
  for (const StudyRecord& study : studies) {
    names.push_back(quoted_text(study.name));
  }
  if (names.empty()) {
    throw UserError("the store holds no study");
  }
  throw UserError(name.empty()
                      ? fmt::format("the store holds several studies; choose one with --study: {}",
                                    fmt::join(names, ", "))
                      : fmt::format("no study {} in the store; there are: {}",
                                    quoted_text(name),
                                    fmt::join(names, ", ")));
}

}  // namespace moesim
