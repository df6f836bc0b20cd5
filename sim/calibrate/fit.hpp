// SPDX-License-Identifier: Apache-2.0
// Constants from measurements: robust least squares on the logarithm of the time.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sim/calibrate/kernels.hpp"
#include "sim/calibrate/point.hpp"

namespace moesim::calibrate {

/// Constants after a fit.
struct Fitted {
  CostConstants constants;
  std::vector<Constant> moved;  ///< which of them the fit chose
  double cost = 0;
};

/// Minimises over the constants c, inside their bounds,
///   sum over points of rho(ln(predict(c) / measured)),   rho(r) = 2 s^2 (sqrt(1 + (r/s)^2) - 1)
/// with s = kRobustScale, so that an outlier pulls with its size, not its square. Every tile choice
/// and start is tried; the smallest sum wins, the first among equals. Constants that the points
/// cannot tell apart keep the value of `base`.
/// Source: Ceres 2.1, trust region (Levenberg-Marquardt), central numeric derivatives; soft L1
/// loss. Valid for: times > 0. The models have kinks (max, tiles), so the end is a local minimum.
/// Checked by: fit_test (recovers constants that made the points).
inline constexpr double kRobustScale = 0.1;
[[nodiscard]] Fitted fit_constants(std::span<const Point> points, const CostConstants& base);

/// A refit that starts from an earlier fit: its tiles and values.
[[nodiscard]] Fitted refit(std::span<const Point> points, const Fitted& from);

}  // namespace moesim::calibrate
