// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "sim/report/plan_report.hpp"
#include "sim/report/svg_text.hpp"

namespace moesim {
namespace {

// By PlanLatency.
constexpr std::array<std::string_view, 3> kAxes = {
    "time of a step, ms", "P95 of the time to the first token, ms", "time of the run, days"};
constexpr double kFrontWidth = 640;
constexpr double kFrontHeight = 420;
constexpr double kFrontLeft = 90;
constexpr double kFrontTop = 50;

/// A logarithmic axis over the values, with a margin.
struct LogAxis {
  double low = 0;
  double high = 1;

  explicit LogAxis(const std::vector<double>& values) {
    constexpr double kMargin = 0.08;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double span = std::max(std::log10(*most / *least), 0.1);
    low = std::log10(*least) - kMargin * span;
    high = std::log10(*most) + kMargin * span;
  }
  [[nodiscard]] double at(double value) const { return (std::log10(value) - low) / (high - low); }

  /// 1, 2 and 5 times powers of ten inside.
  [[nodiscard]] std::vector<double> ticks() const {
    std::vector<double> inside;
    for (int decade = static_cast<int>(std::floor(low)); decade <= std::ceil(high); ++decade) {
      for (const double step : {1.0, 2.0, 5.0}) {
        const double tick = step * std::pow(10.0, decade);
        if (at(tick) >= 0 && at(tick) <= 1) {
          inside.push_back(tick);
        }
      }
    }
    return inside;
  }
};

class Picture {
 public:
  explicit Picture(const PlanReport& report, const std::vector<std::size_t>& rows)
      : report_(report), rows_(rows), x_(values(true)), y_(values(false)) {
    for (const std::size_t r : rows) {
      const std::string name = series_of(r);
      if (std::find(series_.begin(), series_.end(), name) == series_.end()) {
        series_.push_back(name);
      }
    }
  }

  std::string draw() const {
    const double height =
        kFrontTop + kFrontHeight + 70 + kLegendLine * static_cast<double>(series_.size() + 1);
    const std::string title =
        escaped(fmt::format("{}: {} of {}", report_.plan, report_.kind, report_.model));
    return fmt::format(
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
               "width=\"{0:.0f}\" height=\"{1:.0f}\" role=\"img\" aria-label=\"{2}\">\n"
               "<style>text{{font:13px sans-serif;fill:#222}}.title{{font-size:16px}}"
               ".grid{{stroke:#ddd;fill:none}}.front{{stroke:#222;fill:none;stroke-width:1.5}}"
               "</style>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
               "<text class=\"title\" x=\"{3:.0f}\" y=\"28\">{2}</text>\n"
               "<g transform=\"translate({3:.0f} {4:.0f})\">\n",
               kFrontLeft + kFrontWidth + 30,
               height,
               title,
               kFrontLeft,
               kFrontTop) +
           grid() + front_line() + points() + legend() + "</g>\n</svg>\n";
  }

 private:
  [[nodiscard]] const PlanScore& score(std::size_t row) const {
    return report_.rows[row].outcome.score;
  }
  /// Of the horizontal axis: ms, or days of a run.
  [[nodiscard]] double scale() const {
    return report_.latency == PlanLatency::kRun ? 1.0 / 86'400 : 1e3;
  }
  [[nodiscard]] std::vector<double> values(bool latency) const {
    std::vector<double> all;
    for (const std::size_t r : rows_) {
      all.push_back(latency ? score(r).latency * scale() : score(r).throughput);
    }
    return all;
  }
  [[nodiscard]] double px(std::size_t row) const {
    return x_.at(score(row).latency * scale()) * kFrontWidth;
  }
  [[nodiscard]] double py(std::size_t row) const {
    return kFrontHeight * (1 - y_.at(score(row).throughput));
  }
  [[nodiscard]] std::string series_of(std::size_t row) const {
    const auto& values = report_.rows[row].values;
    return values.empty() ? report_.model : values.front();
  }

  [[nodiscard]] std::string grid() const {
    std::string svg;
    for (const double tick : x_.ticks()) {
      const double at = x_.at(tick) * kFrontWidth;
      svg += fmt::format(
          "<path class=\"grid\" d=\"M{0:.1f} 0V{1:.0f}\"/>\n"
          "<text x=\"{0:.1f}\" y=\"{2:.0f}\" text-anchor=\"middle\">{3:g}</text>\n",
          at,
          kFrontHeight,
          kFrontHeight + 20,
          tick);
    }
    for (const double tick : y_.ticks()) {
      const double at = kFrontHeight * (1 - y_.at(tick));
      svg += fmt::format(
          "<path class=\"grid\" d=\"M0 {0:.1f}H{1:.0f}\"/>\n"
          "<text x=\"-8\" y=\"{2:.1f}\" text-anchor=\"end\">{3:g}</text>\n",
          at,
          kFrontWidth,
          at + 4,
          tick);
    }
    return svg + fmt::format(
                     "<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}"
                     "</text>\n<text transform=\"translate(-62 {:.0f}) rotate(-90)\" "
                     "text-anchor=\"middle\">tokens/s a GPU</text>\n",
                     kFrontWidth / 2,
                     kFrontHeight + 42,
                     kAxes[static_cast<std::size_t>(report_.latency)],
                     kFrontHeight / 2);
  }

  [[nodiscard]] std::string front_line() const {
    std::vector<std::size_t> front = report_.front;
    std::sort(front.begin(), front.end(), [&](std::size_t a, std::size_t b) {
      return score(a).latency < score(b).latency;
    });
    std::string path;
    for (const std::size_t r : front) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", px(r), py(r));
    }
    return path.empty() ? "" : fmt::format("<path class=\"front\" d=\"{}\"/>\n", path);
  }

  [[nodiscard]] std::string points() const {
    std::string svg;
    for (const std::size_t r : rows_) {
      const PlanRow& row = report_.rows[r];
      const auto at = std::find(series_.begin(), series_.end(), series_of(r)) - series_.begin();
      const std::string_view colour =
          kSeriesColours[static_cast<std::size_t>(at) % kSeriesColours.size()];
      const bool feasible = row.outcome.state == PlanState::kFeasible;
      std::string words = fmt::format("#{}", r);
      for (std::size_t k = 0; k < report_.keys.size(); ++k) {
        words += fmt::format(", {} = {}", report_.keys[k], row.values[k]);
      }
      words += fmt::format("; {}", readable_latency(score(r).latency, report_.latency));
      if (row.money) {
        words += "; " + readable(score(r).cost, PlanObjective::kCost, report_.latency);
      }
      svg += fmt::format(
          "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\" stroke=\"{}\" fill=\"{}\" "
          "fill-opacity=\"0.75\"><title>{}</title></circle>\n",
          px(r),
          py(r),
          colour,
          feasible ? colour : "none",
          escaped(words));
    }
    return svg;
  }

  [[nodiscard]] std::string legend() const {
    std::string svg;
    for (std::size_t s = 0; s < series_.size(); ++s) {
      const double y = kFrontHeight + 70 + kLegendLine * static_cast<double>(s);
      svg += fmt::format(
          "<circle cx=\"8\" cy=\"{:.1f}\" r=\"5\" fill=\"{}\"/><text x=\"20\" "
          "y=\"{:.0f}\">{}</text>\n",
          y - 4,
          kSeriesColours[s % kSeriesColours.size()],
          y,
          escaped(series_[s]));
    }
    return svg + fmt::format(
                     "<text x=\"20\" y=\"{:.0f}\">hollow: over a limit; line: the Pareto "
                     "front</text>\n",
                     kFrontHeight + 70 + kLegendLine * static_cast<double>(series_.size()));
  }

  const PlanReport& report_;
  const std::vector<std::size_t>& rows_;
  LogAxis x_;
  LogAxis y_;
  std::vector<std::string> series_;
};

}  // namespace

std::string plan_svg(const PlanReport& report) {
  std::vector<std::size_t> rows;
  for (std::size_t r = 0; r < report.rows.size(); ++r) {
    const PlanState state = report.rows[r].outcome.state;
    const PlanScore& score = report.rows[r].outcome.score;
    const bool on_axes = score.throughput > 0 && score.latency > 0;
    if (report.rows[r].refusal.empty() && on_axes &&
        (state == PlanState::kFeasible || state == PlanState::kOverLimit)) {
      rows.push_back(r);
    }
  }
  return rows.empty() ? "" : Picture(report, rows).draw();
}

}  // namespace moesim
