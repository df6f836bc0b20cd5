// SPDX-License-Identifier: Apache-2.0
// A scatter plot on two equal logarithmic axes as a self-contained SVG picture.
#pragma once

#include <string>
#include <vector>

namespace moesim {

struct ScatterPoint {
  double x = 0;       ///< > 0
  double y = 0;       ///< > 0
  std::string label;  ///< shown by browsers when the pointer rests on it
};
struct ScatterSeries {
  std::string name;  ///< in the legend
  std::vector<ScatterPoint> points;
};
struct ScatterPlot {
  std::string title;
  std::string x_axis;
  std::string y_axis;
  std::vector<ScatterSeries> series;  ///< coloured and shaped in order; at most eight differ
};

/// Both axes cover the same whole decades, so that the line of equality is the diagonal; lines at
/// half and at twice beside it. Every point must be > 0; there must be one. Same input, same bytes.
[[nodiscard]] std::string to_svg(const ScatterPlot& plot);

}  // namespace moesim
