// SPDX-License-Identifier: Apache-2.0
#include "sim/report/scatter_plot.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "sim/core/check.hpp"
#include "sim/report/svg_text.hpp"

namespace moesim {
namespace {

constexpr double kSide = 520;  ///< of the square of the axes
constexpr double kScatterLeft = 80;
constexpr double kScatterTop = 50;

/// Whole decades around every coordinate.
struct Decades {
  int first = 0;
  int last = 0;

  [[nodiscard]] double across(double value) const {
    return (std::log10(value) - first) / (last - first) * kSide;
  }
};

Decades decades_of(const ScatterPlot& plot) {
  double least = 0;
  double most = 0;
  for (const ScatterSeries& series : plot.series) {
    for (const ScatterPoint& point : series.points) {
      MOESIM_CHECK(point.x > 0 && point.y > 0, "a point of a logarithmic plot is above 0");
      const auto [low, high] = std::minmax(point.x, point.y);
      least = least == 0 ? low : std::min(least, low);
      most = std::max(most, high);
    }
  }
  MOESIM_CHECK(most > 0, "a plot has points");
  const Decades decades{static_cast<int>(std::floor(std::log10(least))),
                        static_cast<int>(std::ceil(std::log10(most)))};
  return {decades.first, std::max(decades.last, decades.first + 1)};
}

/// Eight shapes around (x, y), so that series differ without colour.
std::string marker(std::size_t series, double x, double y) {
  switch (series % 4) {
    case 0:
      return fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="4.5"/>)", x, y);
    case 1:
      return fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="8" height="8"/>)", x - 4, y - 4);
    case 2:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l5.5 9h-11z"/>)", x, y - 5.5);
    default:
      return fmt::format(R"(<path d="M{:.1f} {:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>)", x, y - 5.5);
  }
}

std::string tick_text(int decade) {
  return decade >= -3 && decade <= 5 ? fmt::format("{:g}", std::pow(10.0, decade))
                                     : fmt::format("1e{}", decade);
}

std::string grid(const Decades& decades) {
  std::string svg;
  for (int d = decades.first; d <= decades.last; ++d) {
    const double at = decades.across(std::pow(10.0, d));
    svg += fmt::format("<path class=\"grid\" d=\"M{0:.1f} 0V{1:.0f}M0 {2:.1f}H{1:.0f}\"/>\n",
                       at,
                       kSide,
                       kSide - at);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n",
                       at,
                       kSide + 20,
                       tick_text(d));
    svg += fmt::format("<text x=\"-8\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
                       kSide - at + 4,
                       tick_text(d));
  }
  return svg;
}

/// y = ratio * x, clipped to the square.
std::string line_at(const Decades& decades, double ratio, std::string_view style) {
  const double shift = std::log10(ratio) / (decades.last - decades.first) * kSide;
  const double x0 = std::max(0.0, -shift);
  const double x1 = std::min(kSide, kSide - shift);
  return fmt::format("<path class=\"{}\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n",
                     style,
                     x0,
                     kSide - (x0 + shift),
                     x1,
                     kSide - (x1 + shift));
}

std::string points_of(const ScatterPlot& plot, const Decades& decades) {
  std::string svg;
  for (std::size_t s = 0; s < plot.series.size(); ++s) {
    svg += fmt::format("<g fill=\"{}\" fill-opacity=\"0.75\">\n",
                       kSeriesColours[s % kSeriesColours.size()]);
    for (const ScatterPoint& point : plot.series[s].points) {
      svg += fmt::format("<g>{}<title>{}</title></g>\n",
                         marker(s, decades.across(point.x), kSide - decades.across(point.y)),
                         escaped(point.label));
    }
    svg += "</g>\n";
  }
  return svg;
}

std::string legend(const ScatterPlot& plot) {
  std::string svg;
  for (std::size_t s = 0; s < plot.series.size(); ++s) {
    const double y = kSide + 70 + kLegendLine * static_cast<double>(s);
    svg += fmt::format("<g fill=\"{}\">{}</g><text x=\"20\" y=\"{:.0f}\">{}</text>\n",
                       kSeriesColours[s % kSeriesColours.size()],
                       marker(s, 8, y - 4),
                       y,
                       escaped(plot.series[s].name));
  }
  return svg;
}

}  // namespace

std::string to_svg(const ScatterPlot& plot) {
  const Decades decades = decades_of(plot);
  const double width = kScatterLeft + kSide + 30;
  const double height =
      kScatterTop + kSide + 70 + kLegendLine * static_cast<double>(plot.series.size());
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" role=\"img\" aria-label=\"{2}\">\n"
      "<style>text{{font:13px sans-serif;fill:#222}}.title{{font-size:16px}}"
      ".grid{{stroke:#ddd;fill:none}}.equal{{stroke:#222;fill:none}}"
      ".twice{{stroke:#888;fill:none;stroke-dasharray:4 4}}</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
      "<text class=\"title\" x=\"{3:.0f}\" y=\"28\">{2}</text>\n"
      "<g transform=\"translate({3:.0f} {4:.0f})\">\n",
      width,
      height,
      escaped(plot.title),
      kScatterLeft,
      kScatterTop);
  svg += grid(decades) + line_at(decades, 1, "equal") + line_at(decades, 2, "twice") +
         line_at(decades, 0.5, "twice") + points_of(plot, decades);
  svg += fmt::format("<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>\n",
                     kSide / 2,
                     kSide + 42,
                     escaped(plot.x_axis));
  svg += fmt::format(
      "<text transform=\"translate(-56 {:.0f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
      kSide / 2,
      escaped(plot.y_axis));
  return svg + legend(plot) + "</g>\n</svg>\n";
}

}  // namespace moesim
