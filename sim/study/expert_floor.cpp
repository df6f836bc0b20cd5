// SPDX-License-Identifier: Apache-2.0
#include "sim/study/expert_floor.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

namespace moesim {
namespace {

constexpr std::int64_t kSamples = 512;

struct Point {
  double x = 0.0;
  double y = 0.0;
};

/// Whether b lies on or above the line from a to c.
bool is_above(Point a, Point b, Point c) {
  return (b.y - a.y) * (c.x - a.x) >= (c.y - a.y) * (b.x - a.x);
}

/// Sides of the lower convex hull of points with ascending x.
std::vector<Line> lower_hull(const std::vector<Point>& points) {
  std::vector<Point> hull;
  for (const Point point : points) {
    while (hull.size() > 1 && is_above(hull[hull.size() - 2], hull.back(), point)) {
      hull.pop_back();
    }
    hull.push_back(point);
  }
  std::vector<Line> lines;
  for (std::size_t i = 0; i + 1 < hull.size(); ++i) {
    const double slope = (hull[i + 1].y - hull[i].y) / (hull[i + 1].x - hull[i].x);
    lines.push_back({.intercept = hull[i].y - slope * hull[i].x, .slope = slope});
  }
  return lines;
}

}  // namespace

std::vector<Line> lines_over_rows(const ComputeModel& compute,
                                  const ModelShape& model,
                                  std::int64_t most) {
  std::vector<Point> points = {{0.0, 0.0}};
  std::int64_t before = 0;
  for (std::int64_t i = 1; i <= kSamples; ++i) {
    const std::int64_t rows = std::max(before + 1, most * i / kSamples);
    // Between two samples the time is at least that of the first one.
    const std::int64_t least = before + 1;
    points.push_back(
        {static_cast<double>(rows), expert_time(compute, model, std::span(&least, 1)).value});
    before = rows;
  }
  return lower_hull(points);
}

std::vector<Line> lines_over_slots(const ComputeModel& compute,
                                   const ModelShape& model,
                                   std::int64_t most) {
  std::vector<Point> points = {{0.0, 0.0}};
  std::vector<std::int64_t> one_row;
  while (static_cast<std::int64_t>(one_row.size()) < most) {
    one_row.push_back(1);
    points.push_back(
        {static_cast<double>(one_row.size()), expert_time(compute, model, one_row).value});
  }
  return lower_hull(points);
}

double value_at(const std::vector<Line>& lines, double x) {
  double value = 0.0;
  for (const Line& line : lines) {
    value = std::max(value, line.intercept + line.slope * x);
  }
  return value;
}

}  // namespace moesim
