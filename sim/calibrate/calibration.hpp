// SPDX-License-Identifier: Apache-2.0
// Points -> fits with their errors: on the points themselves, and on points left out of a refit.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sim/calibrate/fit.hpp"
#include "sim/calibrate/point.hpp"

namespace moesim::calibrate {

/// A point with what was predicted for it.
struct Judged {
  const Point* point = nullptr;
  Seconds fitted;                                         ///< by the fit to all points
  std::vector<std::pair<std::string, Seconds>> left_out;  ///< (fold, by the refit without it)
};

/// One kernel's constants and how good they are.
struct KernelFit {
  std::string kernel;
  KernelFamily family = KernelFamily::kExperts;
  Fitted fit;
  FitRecord record;
  std::vector<Judged> points;
  std::vector<std::string> folds;  ///< "ep 8", "shape ...", "sizes 1 of 4"
};

/// Median and P90 of |predicted / measured - 1| and the median of predicted / measured - 1; nearest
/// rank. @param ratios predicted / measured
[[nodiscard]] FitErrors errors_of(std::vector<double> ratios);

/// Fits each kernel and cross-validates it. Folds: each
/// EP degree and each shape (when there are two or more, and enough points stay to fit), and sizes
/// in kSizeFolds interleaved parts. Spread: P10 and P90 of measured / predicted over the left-out
/// predictions (over the fitted ones when no fold could be made).
inline constexpr int kSizeFolds = 4;
/// @param by_kernel  the points of one kernel each, not empty; they outlive the fits
[[nodiscard]] std::vector<KernelFit> calibrate(const std::vector<std::vector<Point>>& by_kernel,
                                               const CostConstants& base);

}  // namespace moesim::calibrate
