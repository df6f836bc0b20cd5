// SPDX-License-Identifier: Apache-2.0
// The points of a study as rows and columns: chosen, filtered, sorted. How they are shown is the
// program's matter.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/study/result_store.hpp"

namespace moesim {

/// "KEY=VALUE", with =, !=, <, <=, > or >=.
struct Condition {
  enum class Is { kEqual, kNotEqual, kBelow, kAtMost, kAbove, kAtLeast };
  std::string column;
  Is is = Is::kEqual;
  Scalar value;
};
/// Throws UserError.
[[nodiscard]] Condition parse_condition(const std::string& text);

struct ResultQuery {
  std::vector<std::string> columns = {};  ///< empty: all
  std::vector<std::string> where = {};    ///< conditions, all of which hold
  std::string sort = {};                  ///< a column; empty: by point
  bool descending = false;
  bool with_times = false;  ///< column "seconds": not the same from run to run
};

/// Columns: "point", "state", the keys that differ, the metrics, "message"; others that a query
/// names are looked up in the reports.
struct ResultTable {
  std::vector<std::string> columns;
  std::vector<std::vector<Scalar>> rows;
  int points = 0;  ///< before conditions
};

/// Throws UserError for a condition that is none and for a column that no point has.
[[nodiscard]] ResultTable query_results(const ResultStore& store,
                                        const StudyRecord& study,
                                        const ResultQuery& query);

/// The study of that name, or the only one. Throws UserError that names those there are.
[[nodiscard]] StudyRecord find_study(const ResultStore& store, const std::string& name);

}  // namespace moesim
