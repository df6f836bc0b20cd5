// SPDX-License-Identifier: Apache-2.0
// Two scenarios side by side: what was changed, where the time went, and which differences stand
// out from the spread of seeds.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/report/run_report.hpp"

namespace moesim {

/// A key whose value differs; "" where a side does not have it.
struct ChangedKey {
  std::string key;
  std::string a;
  std::string b;
};

/// One quantity of both: means over seeds, and the 95 % half width of the paired difference.
struct Difference {
  std::string name;
  double a = 0.0;
  double b = 0.0;
  double half_width = 0.0;  ///< infinite with one seed

  [[nodiscard]] double change() const { return b - a; }
  /// Within the spread of seeds, so nothing can be said to have changed.
  [[nodiscard]] bool is_none() const;
};

struct Comparison {
  RunReport a;  ///< of the first seed
  RunReport b;
  std::vector<std::uint64_t> seeds;
  std::size_t steps = 0;  ///< of a seed
  std::vector<ChangedKey> changed;
  Difference step;                 ///< mean step, seconds
  std::vector<Difference> parts;   ///< critical path, seconds: their changes sum to the step's
  std::vector<Difference> layers;  ///< makespan of each layer that both have, seconds
  std::vector<Difference> ratios;  ///< dropped, rank imbalance
  std::vector<Difference> bytes;   ///< dispatch, combine, over NICs: of a step
};

/// Keys of two resolved scenarios ("[table]" and "key = value" lines) that differ, in order of a,
/// then those of b alone.
[[nodiscard]] std::vector<ChangedKey> changed_keys(std::string_view a, std::string_view b);

/// d[i] = b[i] - a[i] of seed i; half width = t(0.975, n - 1) * sd(d) / sqrt(n) (verdict.hpp). Same
/// seeds, so what a seed draws is drawn alike on both sides and cancels.
/// @pre as many of both, at least one, seeds in the same order
/// Checked by: compare_report_test.
[[nodiscard]] Comparison compare(std::span<const RunReport> a, std::span<const RunReport> b);

[[nodiscard]] std::string compare_text(const Comparison& comparison);
/// "moesim-compare"; docs/report.md.
[[nodiscard]] std::string compare_json(const Comparison& comparison);
/// quantity,unit,a,b,change,half_width,verdict
[[nodiscard]] std::string compare_csv(const Comparison& comparison);

}  // namespace moesim
