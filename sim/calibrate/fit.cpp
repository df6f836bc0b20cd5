// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/fit.hpp"

#include <ceres/ceres.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/core/check.hpp"

namespace moesim::calibrate {
namespace {

constexpr int kMostIterations = 30;
constexpr int kFirstIterations = 6;  // of every start of experts; only the best is taken further
constexpr double kTolerance = 1e-5;  // of the cost, relative
constexpr double kDerivativeStep = 1e-3;  // relative; times are rounded to picoseconds

CostConstants with_values(const CostConstants& base,
                          const std::vector<Constant>& moved,
                          const double* scaled) {
  CostConstants constants = base;
  for (std::size_t i = 0; i < moved.size(); ++i) {
    moved[i].value(constants) = std::clamp(scaled[i] * moved[i].high, moved[i].low, moved[i].high);
  }
  return constants;
}

/// ln(predicted / measured) of one point; parameters are value / upper bound.
struct LogRatio {
  const Point& point;
  const CostConstants& base;
  const std::vector<Constant>& moved;

  bool operator()(double const* const* parameters, double* residual) const {
    const CostConstants constants = with_values(base, moved, parameters[0]);
    residual[0] = std::log(point.predict(constants) / point.measured);
    return std::isfinite(residual[0]);
  }
};

Fitted solve(std::span<const Point> points,
             const CostConstants& base,
             const std::vector<Constant>& moved,
             std::vector<double> scaled,
             int iterations) {
  ceres::Problem problem;
  ceres::NumericDiffOptions numeric;
  numeric.relative_step_size = kDerivativeStep;
  for (const Point& point : points) {
    auto* cost = new ceres::DynamicNumericDiffCostFunction<LogRatio, ceres::CENTRAL>(
        new LogRatio{point, base, moved}, ceres::TAKE_OWNERSHIP, numeric);
    cost->AddParameterBlock(static_cast<int>(scaled.size()));
    cost->SetNumResiduals(1);
    problem.AddResidualBlock(cost, new ceres::SoftLOneLoss(kRobustScale), scaled.data());
  }
  for (std::size_t i = 0; i < moved.size(); ++i) {
    problem.SetParameterLowerBound(
        scaled.data(), static_cast<int>(i), moved[i].low / moved[i].high);
    problem.SetParameterUpperBound(scaled.data(), static_cast<int>(i), 1.0);
  }
  ceres::Solver::Options options;
  options.linear_solver_type = ceres::DENSE_QR;
  options.max_num_iterations = iterations;
  options.function_tolerance = kTolerance;
  options.num_threads = 1;
  options.logging_type = ceres::SILENT;
  ceres::Solver::Summary summary;
  ceres::Solve(options, &problem, &summary);
  MOESIM_CHECK(summary.IsSolutionUsable(), "a fit ends in numbers");
  return {with_values(base, moved, scaled.data()), moved, summary.final_cost};
}

/// Every combination of the constants' starting values.
std::vector<std::vector<double>> all_starts(const std::vector<Constant>& moved) {
  std::vector<std::vector<double>> starts{{}};
  for (const Constant& constant : moved) {
    std::vector<std::vector<double>> longer;
    for (const std::vector<double>& start : starts) {
      for (const double value : constant.starts) {
        longer.push_back(start);
        longer.back().push_back(value / constant.high);
      }
    }
    starts = std::move(longer);
  }
  return starts;
}

}  // namespace

Fitted fit_constants(std::span<const Point> points, const CostConstants& base) {
  MOESIM_CHECK(!points.empty(), "a fit needs points");
  const std::vector<Constant> moved = constants_of(points);
  Fitted best;
  best.cost = std::numeric_limits<double>::infinity();
  const bool experts = points.front().family == KernelFamily::kExperts;
  const int iterations = experts ? kFirstIterations : kMostIterations;
  for (const TileChoice& tile : tiles_of(points.front().family)) {
    CostConstants start = base;
    start.expert_gather = points.front().gathers;
    start.expert_return = points.front().returns;
    if (tile.rows > 0) {
      start.tile_rows = tile.rows;
      start.tile_columns = tile.columns;
    }
    for (const std::vector<double>& values : all_starts(moved)) {
      Fitted fitted = solve(points, start, moved, values, iterations);
      if (fitted.cost < best.cost) {
        best = std::move(fitted);
      }
    }
  }
  return experts ? refit(points, best) : best;
}

Fitted refit(std::span<const Point> points, const Fitted& from) {
  std::vector<double> values;
  CostConstants constants = from.constants;
  for (const Constant& constant : from.moved) {
    values.push_back(constant.value(constants) / constant.high);
  }
  return solve(points, from.constants, from.moved, std::move(values), kMostIterations);
}

}  // namespace moesim::calibrate
