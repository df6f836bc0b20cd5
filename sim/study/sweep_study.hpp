// SPDX-License-Identifier: Apache-2.0
// What a sweep varies, as values, and the points that follow from it. The TOML file it comes from:
// sim/scenario/study_file.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/study/scalar.hpp"

namespace moesim {

/// One scenario key with one value.
struct SweepSetting {
  std::string key;  ///< "model.top_k"
  Scalar value;
  std::size_t entry = 0;  ///< whose place and exact value the study's file knows
};

/// Settings that a point takes together, keys in the order of the file.
using SweepChoice = std::vector<SweepSetting>;

/// One dimension of the grid: a key, or keys that move together.
struct SweepAxis {
  std::vector<SweepChoice> choices;  ///< not empty; all of the same keys
};

struct SweepStudy {
  SweepChoice base;                 ///< for every point; what an axis or a point says wins
  std::vector<SweepAxis> axes;      ///< none: no grid
  std::vector<SweepChoice> points;  ///< behind those of the grid
  SweepChoice seeds;                ///< each point once with each; none: the scenario's own seed
};

inline constexpr std::int64_t kMostPoints = 1'000'000;

/// Number of points, or kMostPoints + 1 if there are more.
[[nodiscard]] std::int64_t num_points(const SweepStudy& study);

/// Every point's settings, base included: the grid (first axis slowest), then `points`, each with
/// every seed. Without grid and points, the scenario itself.
/// @pre num_points(study) <= kMostPoints
[[nodiscard]] std::vector<SweepChoice> expand(const SweepStudy& study);

/// The keys in which points differ from each other by their settings, in order of appearance.
[[nodiscard]] std::vector<std::string> swept_keys(const SweepStudy& study);

}  // namespace moesim
