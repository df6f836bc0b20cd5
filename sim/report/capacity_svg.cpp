// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "sim/report/capacity_report.hpp"
#include "sim/report/svg_text.hpp"

namespace moesim {
namespace {

// Okabe and Ito's colours, told apart by most colour-blind readers; then dashed.
constexpr std::array<std::string_view, 7> kColours = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};

constexpr double kWidth = 960;
constexpr double kTop = 64;
constexpr double kPlotWidth = 390;
constexpr double kPlotHeight = 300;

struct Axis {
  double low = 0.0;
  double high = 1.0;
  double tick = 0.2;
  [[nodiscard]] double at(double value) const { return (value - low) / (high - low); }
};

/// A range in round ticks (1, 2 or 5 times a power of ten) around the values.
Axis axis_over(double low, double high) {
  const double span = high > low ? high - low : std::max(std::abs(high), 1.0);
  const double raw = span / 5.0;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double tick = 10.0 * power;
  for (const double step : {5.0, 2.0, 1.0}) {
    tick = step * power >= raw ? step * power : tick;
  }
  const double first = std::floor(low / tick + 1e-9) * tick;
  const double last = std::max(std::ceil(high / tick - 1e-9) * tick, first + tick);
  return {.low = first, .high = last, .tick = tick};
}

struct PlotPoint {
  double x = 0.0;
  double y = 0.0;
  bool knee = false;
};
using Series = std::vector<PlotPoint>;

struct Plot {
  double left = 0.0;
  Axis x;
  Axis y;
  [[nodiscard]] double px(double value) const { return left + x.at(value) * kPlotWidth; }
  [[nodiscard]] double py(double value) const {
    return kTop + kPlotHeight - y.at(value) * kPlotHeight;
  }
};

std::string line_between(double x1, double y1, double x2, double y2, std::string_view colour) {
  return fmt::format(
      "<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n",
      x1,
      y1,
      x2,
      y2,
      colour);
}

std::string frame(const Plot& plot, std::string_view title, std::string_view x_name) {
  const double bottom = kTop + kPlotHeight;
  std::string svg;
  const auto ticks = [](const Axis& axis) {
    return static_cast<int>(std::lround((axis.high - axis.low) / axis.tick));
  };
  for (int i = 0; i <= ticks(plot.x); ++i) {
    const double value = plot.x.low + i * plot.x.tick;
    svg += line_between(plot.px(value), kTop, plot.px(value), bottom, "#e6e6e6");
    svg += text_at(plot.px(value), bottom + 18, "middle", fmt::format("{:.6g}", value));
  }
  for (int i = 0; i <= ticks(plot.y); ++i) {
    const double value = plot.y.low + i * plot.y.tick;
    svg +=
        line_between(plot.left, plot.py(value), plot.left + kPlotWidth, plot.py(value), "#e6e6e6");
    svg += text_at(plot.left - 8, plot.py(value) + 4, "end", fmt::format("{:.6g}", value));
  }
  svg += line_between(plot.left, bottom, plot.left + kPlotWidth, bottom, "#333333");
  svg += line_between(plot.left, kTop, plot.left, bottom, "#333333");
  svg += text_at(plot.left, kTop - 12, "start", title);
  return svg + text_at(plot.left + kPlotWidth / 2, bottom + 38, "middle", x_name);
}

std::string style_of(std::size_t curve) {
  const bool dashed = curve >= kColours.size();
  return fmt::format("stroke=\"{0}\" fill=\"{0}\"{1}",
                     kColours[curve % kColours.size()],
                     dashed ? " stroke-dasharray=\"5 3\"" : "");
}

std::string drawn(const Plot& plot, const Series& series, std::size_t curve) {
  std::string points;
  std::string marks;
  for (const PlotPoint& p : series) {
    points += fmt::format("{:.1f},{:.1f} ", plot.px(p.x), plot.py(p.y));
    marks += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"/>\n", plot.px(p.x), plot.py(p.y));
    if (p.knee) {
      marks += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"7\" fill=\"none\" stroke-width=\"2\"/>\n",
          plot.px(p.x),
          plot.py(p.y));
    }
  }
  return fmt::format(
      "<g {}>\n<polyline points=\"{}\" fill=\"none\" stroke-width=\"1.8\"/>\n{}</g>\n",
      style_of(curve),
      points,
      marks);
}

Axis axis_of(const std::vector<Series>& all, double PlotPoint::*member, bool from_zero) {
  double low = all.front().front().*member;
  double high = low;
  for (const Series& series : all) {
    for (const PlotPoint& p : series) {
      low = std::min(low, p.*member);
      high = std::max(high, p.*member);
    }
  }
  return axis_over(from_zero ? 0.0 : low, high);
}

std::string plotted(double left,
                    const std::vector<Series>& all,
                    std::string_view title,
                    std::string_view x_name) {
  const Plot plot{left, axis_of(all, &PlotPoint::x, false), axis_of(all, &PlotPoint::y, true)};
  std::string svg = frame(plot, title, x_name);
  for (std::size_t c = 0; c < all.size(); ++c) {
    svg += drawn(plot, all[c], c);
  }
  return svg;
}

std::string legend(const std::vector<CapacityCurveSummary>& curves) {
  std::string svg;
  constexpr double kColumn = 225;
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const double x = 60 + kColumn * static_cast<double>(c % 4);
    const double y = kTop + kPlotHeight + 66 + kLegendLine * static_cast<double>(c / 4);
    svg += fmt::format(
        "<g {}><line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" "
        "stroke-width=\"3\"/></g>\n",
        style_of(c),
        x,
        y - 4,
        x + 22,
        y - 4);
    svg += text_at(x + 28, y, "start", curve_name(curves[c].curve));
  }
  return svg;
}

}  // namespace

std::string capacity_svg(const CapacityReport& report) {
  const std::vector<CapacityCurveSummary> curves = summarise(report);
  std::vector<Series> by_factor;
  std::vector<Series> by_time;
  for (const CapacityCurveSummary& curve : curves) {
    by_factor.emplace_back();
    by_time.emplace_back();
    for (const CapacitySummary& p : curve.points) {
      const double dropped = 100.0 * p.dropped_mean;
      by_factor.back().push_back({p.point->spec.factor, dropped, p.is_knee});
      by_time.back().push_back({p.step_s.mean * 1e3, dropped, p.is_knee});
    }
  }
  const double height = kTop + kPlotHeight + 66 +
                        kLegendLine * std::ceil(static_cast<double>(curves.size()) / 4) + 12;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
      kWidth,
      height);
  svg += fmt::format(
      "<text x=\"60\" y=\"26\" font-size=\"15\">{}: capacity, {} of {} step(s); "
      "circle: knee</text>\n",
      escaped(report.run.scenario),
      report.sweep.steps_done,
      report.sweep.steps);
  svg += plotted(60, by_factor, "dropped assignments, %", "capacity factor");
  svg += plotted(540, by_time, "dropped assignments, %", "mean time of a step's MoE layers, ms");
  return svg + legend(curves) + "</svg>\n";
}

}  // namespace moesim
