// SPDX-License-Identifier: Apache-2.0
// Two scenarios side by side: what was changed, where the time went, and which differences stand
// out from the spread of seeds.
#pragma once

#include <nlohmann/json_fwd.hpp>

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

/// One side: what its first seed's report says beside its results.
struct ComparedSide {
  std::string scenario;
  std::string resolved;
  std::string grade;
  std::string head;  ///< JSON object
};

struct Comparison {
  std::string version;
  std::string kind = "moe_layers";  ///< word of step.kind
  ComparedSide a;
  ComparedSide b;
  std::vector<std::uint64_t> seeds;
  std::size_t steps = 0;     ///< of a seed; requests in serving
  std::size_t layers_a = 0;  ///< MoE layers, of moe_layers
  std::size_t layers_b = 0;
  std::vector<ChangedKey> changed;
  Difference step;                 ///< mean step, in serving mean latency, seconds
  std::vector<Difference> parts;   ///< critical path, seconds: their changes sum to the step's
  std::vector<Difference> layers;  ///< makespan of each layer that both have, seconds
  std::vector<Difference> times;   ///< of whole models and serving: all other seconds
  std::vector<Difference> rates;   ///< per second
  std::vector<Difference> ratios;  ///< dropped, rank imbalance; of others all ratios
  std::vector<Difference> bytes;   ///< dispatch, combine, over NICs: of a step
  std::vector<Difference> counts;  ///< without a unit, of whole models and serving
};

/// Keys of two resolved scenarios ("[table]" and "key = value" lines) that differ, in order of a,
/// then those of b alone.
[[nodiscard]] std::vector<ChangedKey> changed_keys(std::string_view a, std::string_view b);

/// d[i] = b[i] - a[i] of seed i; half width = t(0.975, n - 1) * sd(d) / sqrt(n) (verdict.hpp). Same
/// seeds, so what a seed draws is drawn alike on both sides and cancels.
/// @pre as many of both, at least one, seeds in the same order
/// Checked by: compare_report_test.
[[nodiscard]] Comparison compare(std::span<const RunReport> a, std::span<const RunReport> b);

/// The same of JSON reports of whole models or of requests over time, one a seed. Every number of
/// their `summary` that both sides have in all seeds is a quantity, by the unit its name ends in.
/// @pre all of one step_kind
[[nodiscard]] Comparison compare_reports(std::span<const nlohmann::ordered_json> a,
                                         std::span<const nlohmann::ordered_json> b);

[[nodiscard]] std::string compare_text(const Comparison& comparison);
/// "moesim-compare"; docs/report.md.
[[nodiscard]] std::string compare_json(const Comparison& comparison);
/// quantity,unit,a,b,change,half_width,verdict
[[nodiscard]] std::string compare_csv(const Comparison& comparison);

}  // namespace moesim
