// SPDX-License-Identifier: Apache-2.0
// What the gap between a placement and its bound is made of.
#pragma once

#include <optional>
#include <string>

#include "sim/step/placement_study.hpp"

namespace moesim {

/// Mean layer times: L of the placement, H of hindsight with as many slots, B the bound, E of eplb
/// with as many slots; parts of B, but for `gained`.
struct PlacementGap {
  double gap = 0.0;                      ///< L / B - 1
  std::optional<double> unknown_before;  ///< max(0, L - H) / B: what training steps did not tell
  double open = 0.0;             ///< (min(L, H) - B) / B: neither found nor proved impossible
  double most_gain = 0.0;        ///< 1 - B / L: no placement saves more of the mean layer
  std::optional<double> gained;  ///< 1 - L / E
};

/// None without a bound. gap = unknown_before + open. Checked by: placement_report_test (by hand).
[[nodiscard]] std::optional<PlacementGap> placement_gap(const PlacementStudy& study,
                                                        const JudgedPlacement& judged);

/// "optimised: 3.75 % above the bound of the mean layer: ...".
[[nodiscard]] std::string gap_text(const JudgedPlacement& judged, const PlacementGap& gap);

}  // namespace moesim
