// SPDX-License-Identifier: Apache-2.0
// Bars: what each placement makes of a step and of a layer.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "sim/report/placement_report.hpp"
#include "sim/report/svg_text.hpp"
#include "sim/report/table.hpp"

namespace moesim {
namespace {

constexpr double kLabels = 150;  // width of the names
constexpr double kBars = 520;    // width of the longest bar
constexpr double kRow = 44;
constexpr double kBarsTop = 58;

/// A bar to the mean with a mark at the P99.
std::string bar(double y, double scale, const Distribution& d, std::string_view colour) {
  const double end = kLabels + d.mean * scale;
  const double mark = kLabels + d.p99 * scale;
  return fmt::format(
             "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"20\" fill=\"{}\"/>\n",
             kLabels,
             y,
             end - kLabels,
             colour) +
         fmt::format(
             "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#000000\" "
             "stroke-width=\"2\"/>\n",
             mark,
             y - 3,
             y + 23) +
         text_at(std::max(end, mark) + 8,
                 y + 15,
                 "start",
                 fmt::format("{}, P99 {}", readable_time(d.mean), readable_time(d.p99)));
}

std::string_view colour_of(VerdictKind kind) {
  switch (kind) {
    case VerdictKind::kTry:
      return "#009e73";
    case VerdictKind::kSkip:
      return "#999999";
    case VerdictKind::kUnknown:
      break;
  }
  return "#e69f00";
}

}  // namespace

std::string placement_svg(const PlacementReport& report) {
  const std::vector<JudgedPlacement>& judged = report.study.judged;
  std::vector<Distribution> steps;
  double longest = 0.0;
  for (const JudgedPlacement& j : judged) {
    steps.push_back(distribution_of(j.step_s));
    longest = std::max(longest, steps.back().p99);
  }
  const double scale = longest > 0.0 ? kBars / longest : 0.0;
  const double height = kBarsTop + kRow * static_cast<double>(judged.size()) + 40;
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 {0:.0f}\" width=\"900\" "
      "height=\"{0:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
      height);
  svg += fmt::format(
      "<text x=\"16\" y=\"26\" font-size=\"15\">{}: time of a step, {} judged "
      "step(s); line: P99</text>\n",
      escaped(report.run.scenario),
      report.study.options.steps);
  for (std::size_t i = 0; i < judged.size(); ++i) {
    const double y = kBarsTop + kRow * static_cast<double>(i);
    const std::string_view colour = i == 0 ? "#0072b2" : colour_of(judged[i].verdict.kind);
    svg += text_at(kLabels - 10, y + 15, "end", escaped(judged[i].name));
    svg += bar(y, scale, steps[i], colour);
  }
  svg +=
      text_at(16, height - 14, "start", "blue: baseline; green: try; orange: unknown; grey: skip");
  return svg + "</svg>\n";
}

}  // namespace moesim
