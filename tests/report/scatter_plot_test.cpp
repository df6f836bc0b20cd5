// SPDX-License-Identifier: Apache-2.0
// The scatter plot: where points and lines lie, and text that cannot break the picture.
#include "sim/report/scatter_plot.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace moesim {
namespace {

using testing::HasSubstr;
using testing::Not;

ScatterPlot plot_of(std::vector<ScatterPoint> points) {
  return {.title = "t", .x_axis = "x", .y_axis = "y", .series = {{"s", std::move(points)}}};
}

// Values from 2 to 500 span the decades 0 to 3 on both axes: 10 lies at 1/3 of 520 = 173.3 across,
// and 100 at 520 - 2/3 * 520 = 173.3 from the top.
TEST(ScatterPlots, PutPointsOnSharedWholeDecades) {
  const std::string svg = to_svg(plot_of({{10, 100, "p"}, {2, 500, "q"}}));
  EXPECT_THAT(svg, HasSubstr(R"(<circle cx="173.3" cy="173.3" r="4.5"/><title>p</title>)"));
  EXPECT_THAT(svg, HasSubstr(R"(<path class="equal" d="M0.0 520.0L520.0 0.0"/>)"));
  EXPECT_THAT(svg, HasSubstr(">1000</text>"));
}

// One point on a decade still gets an axis of one decade.
TEST(ScatterPlots, OnePointIsEnough) {
  EXPECT_THAT(to_svg(plot_of({{1, 1, "p"}})), HasSubstr(R"(cx="0.0" cy="520.0")"));
}

TEST(ScatterPlots, EscapeText) {
  const std::string svg = to_svg(plot_of({{1, 2, "<script>\"&"}}));
  EXPECT_THAT(svg, HasSubstr("<title>&lt;script&gt;&quot;&amp;</title>"));
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
}

TEST(ScatterPlots, RefuseWhatHasNoLogarithm) {
  EXPECT_THROW(static_cast<void>(to_svg(plot_of({{0, 1, ""}}))), std::logic_error);
  EXPECT_THROW(static_cast<void>(to_svg(plot_of({}))), std::logic_error);
}

}  // namespace
}  // namespace moesim
