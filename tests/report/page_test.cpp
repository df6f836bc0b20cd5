// SPDX-License-Identifier: Apache-2.0
// What the report page carries: the report's own numbers, sums that lose nothing, and no way out of
// its script element. How it looks: tests/page.
#include "sim/report/page.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <numeric>

#include "sim/report/fabric_drawing.hpp"
#include "sim/report/json_report.hpp"
#include "tests/report/small_report.hpp"

namespace moesim {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// The document in a page.
json document_of(const std::string& html) {
  const std::string open = R"(<script type="application/json" id="document">)";
  const std::size_t begin = html.find(open) + open.size();
  return json::parse(html.substr(begin, html.find("</script>", begin) - begin));
}

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++found;
  }
  return found;
}

class ReportPage : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_page()) {
      GTEST_SKIP() << "built without npm: no page";
    }
  }
};

TEST_F(ReportPage, CarriesTheReportButForTheLayersOfSingleSteps) {
  json expected = json::parse(to_json(small_report()));
  for (json& step : expected["steps"]) {
    step.erase("layers");
  }
  EXPECT_EQ(document_of(run_page_html(small_report()))["report"], expected);
}

TEST_F(ReportPage, CarriesOtherReportsWhole) {
  const std::string text = R"({"format": "moesim-capacity", "curves": [1.5, null]})";
  EXPECT_EQ(document_of(page_html(text))["report"], json::parse(text));
}

TEST_F(ReportPage, TextOfAReportCannotEndItsScript) {
  RunReport report = small_report();
  const std::size_t scripts = count(run_page_html(report), "</script");
  report.scenario = "</script><script>alert(1)</script><!--.toml";
  const std::string html = run_page_html(report);
  EXPECT_EQ(count(html, "</script"), scripts);
  EXPECT_THAT(html, Not(HasSubstr("alert(1)</")));
  EXPECT_EQ(document_of(html)["report"]["scenario"], report.scenario);
}

TEST_F(ReportPage, FetchesNothing) {
  const std::string html = run_page_html(small_report());
  EXPECT_THAT(html, Not(HasSubstr("<script src")));
  EXPECT_THAT(html, Not(HasSubstr("<link rel=\"stylesheet\"")));
}

/// 58 layers of 256 experts on 64 ranks, 16 steps, loads of five digits: what EP64 of a DeepSeek-V3
/// is.
TEST_F(ReportPage, StaysBelowFiveMegabytesAtEp64With58Layers) {
  RunReport report = small_report();
  LayerResult layer = report.steps[0].layers[0];
  layer.expert_load.assign(256, 12'345);
  layer.rank_tokens.assign(64, 54'321);
  StepResult step = report.steps[0];
  step.layers.assign(58, layer);
  step.pairs = {
      .ranks_per_cell = 1, .cells = 64, .bytes = std::vector<std::int64_t>(64 * 64, 123'456'789)};
  report.steps.assign(16, step);
  EXPECT_LT(run_page_html(report).size(), 5'000'000U);
}

TEST(PageExtra, SumsLoadsTrafficAndLinksOverSteps) {
  const json extra = run_page_extra(small_report());
  EXPECT_EQ(extra["experts"]["block"], 1);
  EXPECT_EQ(extra["experts"]["cells"], json::parse("[[80, 120]]"));
  EXPECT_EQ(extra["experts"]["mean"], json::parse("[100.0]"));
  EXPECT_EQ(extra["ranks"]["cells"], json::parse("[[136, 44]]"));
  EXPECT_EQ(extra["traffic"]["dispatch_bytes"], json::parse("[[0, 1400], [400, 0]]"));
  ASSERT_EQ(extra["busiest_links"].size(), 1U);
  EXPECT_EQ(extra["busiest_links"][0]["name"], "b->a");
  EXPECT_EQ(extra["busiest_links"][0]["bytes"], 6000);
  // 6000 bytes at 1 GB/s are 6 us of the 60 us of both steps.
  EXPECT_NEAR(extra["busiest_links"][0]["busy_ratio"].get<double>(), 0.1, 1e-12);
  ASSERT_EQ(extra["link_kinds"].size(), 1U);
  EXPECT_EQ(extra["link_kinds"][0]["links"], 2);
  EXPECT_NEAR(extra["link_kinds"][0]["mean_busy_ratio"].get<double>(), 0.05, 1e-12);
  EXPECT_EQ(extra["link_kinds"][0]["busiest"], "b->a");
}

TEST(PageExtra, TheDrawingShowsTheBusierDirectionAndTheBytesOfBoth) {
  const json fabric = run_page_extra(small_report())["fabric"];
  ASSERT_EQ(fabric["vertices"].size(), 2U);
  ASSERT_EQ(fabric["links"].size(), 1U);
  EXPECT_EQ(fabric["links"][0]["name"], "b->a");
  EXPECT_EQ(fabric["links"][0]["bytes"], 6000);
  EXPECT_TRUE(fabric["grouped"].is_null());
}

// 600 intervals of 1 us: 3 to a value.
TEST(PageExtra, LinksOverTimeAreMeansOfIntervals) {
  Counters counters{.interval = SimTime{1'000'000}, .is_exact = true, .counters = {}};
  counters.counters.push_back(
      {"nic links: utilisation", "percent", std::vector<double>(600, 20.0)});
  counters.counters.back().values[1] = 50.0;
  counters.counters.push_back({"nic links: flows under way", "flows", std::vector<double>(600)});
  const json over = run_page_extra(small_report(), &counters)["over_time"];
  EXPECT_NEAR(over["interval_s"].get<double>(), 3e-6, 1e-18);
  ASSERT_EQ(over["lines"].size(), 1U);
  EXPECT_EQ(over["lines"][0]["name"], "nic links");
  EXPECT_EQ(over["lines"][0]["busy_ratio"].size(), 200U);
  EXPECT_NEAR(over["lines"][0]["busy_ratio"][0].get<double>(), 0.3, 1e-12);
  EXPECT_TRUE(run_page_extra(small_report())["over_time"].is_null());
}

/// `n` requests that arrive a second apart from 1 s on; request i waits 10 ms for each of i.
ServingReport served(int n) {
  ServingReport report;
  report.parallel.ep = 1;
  report.parallel.tp = 1;
  report.spec.groups = 1;
  report.spec.interval = Seconds{1.0};
  report.spec.warm_up = Seconds{2.5};
  report.spec.ttft_slo = Seconds{0.05};
  report.spec.tpot_slo = Seconds{};
  report.kv.tokens = 100;
  for (int i = 1; i <= n; ++i) {
    ServedRequest request;
    request.arrival = ticks(Seconds{static_cast<double>(i)});
    request.first_scheduled = request.arrival;
    request.first_token = request.arrival + ticks(Seconds{0.01 * i});
    request.finished = request.first_token + ticks(Seconds{0.5});
    request.request.prompt_tokens = 10;
    request.request.output_tokens = 2;
    request.done = true;
    report.run.requests.push_back(request);
    report.run.series.push_back({.waiting_s = 0.25, .arrivals = 1, .output_tokens = 2});
  }
  report.run.end = ticks(Seconds{static_cast<double>(n)});
  return report;
}

TEST(PageExtra, RequestsOfTheWarmUpAreInNoQuantile) {
  const json extra = serving_page_extra(served(6));
  const json& ttft = extra["quantiles"]["ttft_s"];
  ASSERT_EQ(ttft.size(), 4U);  // arrived at 3, 4, 5 and 6 s
  EXPECT_NEAR(ttft[0].get<double>(), 0.03, 1e-12);
  EXPECT_NEAR(ttft[3].get<double>(), 0.06, 1e-12);
  EXPECT_EQ(extra["sample"]["every"], 1);
  EXPECT_EQ(extra["sample"]["requests"][2]["within_slo"], true);   // 50 ms
  EXPECT_EQ(extra["sample"]["requests"][3]["within_slo"], false);  // 60 ms
}

// 1,300 intervals of a second: 3 to a row.
TEST(PageExtra, ManyIntervalsAndRequestsAreThinnedOutWithoutLosingCounts) {
  const json extra = serving_page_extra(served(1'300 + 2));
  const json& series = extra["series"];
  EXPECT_EQ(series["intervals_per_row"], 3);
  EXPECT_EQ(series["arrivals"].size(), 434U);
  EXPECT_EQ(series["arrivals"][0], 3);
  EXPECT_EQ(series["output_tokens"][0], 6);
  EXPECT_NEAR(series["waiting"][0].get<double>(), 0.25, 1e-12);
  EXPECT_EQ(extra["quantiles"]["latency_s"].size(), kMostQuantiles);
  EXPECT_NEAR(extra["quantiles"]["latency_s"].back().get<double>(), 0.5 + 13.02, 1e-9);
}

TEST_F(ReportPage, OfManyConfigurationsThoseThatWereSimulatedStay) {
  PlanReport plan;
  plan.rows.resize(kMostPagePoints + 10);
  for (PlanRow& row : plan.rows) {
    row.refusal = "no";
  }
  plan.rows.back().refusal = "";
  plan.rows.back().outcome.state = PlanState::kFeasible;
  const json document = document_of(plan_page_html(plan));
  EXPECT_EQ(document["extra"]["left_out"], 10);
  EXPECT_EQ(document["report"]["configurations"].size(), kMostPagePoints);
  EXPECT_EQ(document["report"]["configurations"][0]["configuration"], kMostPagePoints + 9);
}

TEST_F(ReportPage, OfManyPointsTheFirstStay) {
  json points = json::array();
  for (std::size_t i = 0; i < kMostPagePoints + 3; ++i) {
    points.push_back({{"point", i}});
  }
  const json results = {{"format", "moesim-results"}, {"points", points}};
  const json document = document_of(results_page_html(results.dump()));
  EXPECT_EQ(document["extra"]["left_out"], 3);
  EXPECT_EQ(document["report"]["points"].size(), kMostPagePoints);
}

// 1 layer of 200,000 experts: 4 to a cell; a cell shows its busiest.
TEST(PageExtra, ManyExpertsShareCellsThatShowTheBusiest) {
  RunReport report = small_report();
  for (StepResult& step : report.steps) {
    step.layers[0].expert_load.assign(200'000, 1);
    step.layers[0].expert_load[6] = 50;
  }
  const json experts = run_page_extra(report)["experts"];
  EXPECT_EQ(experts["block"], 4);
  EXPECT_EQ(experts["cells"][0].size(), 50'000U);
  EXPECT_EQ(experts["cells"][0][0], 2);
  EXPECT_EQ(experts["cells"][0][1], 100);
}

// Two hosts of two GPUs and a switch each, both switches on one leaf.
TEST(FabricDrawing, HostsBecomeOneVertexOfEachKind) {
  FabricView view;
  for (int host = 0; host < 2; ++host) {
    const std::size_t first = view.nodes.size();
    view.nodes.push_back({VertexKind::kGpu, "g0", host});
    view.nodes.push_back({VertexKind::kGpu, "g1", host});
    view.nodes.push_back({VertexKind::kScaleUpSwitch, "s", host});
    for (const std::size_t gpu : {first, first + 1}) {
      view.edges.push_back({gpu, first + 2, LinkKind::kScaleUp});
      view.edges.push_back({first + 2, gpu, LinkKind::kScaleUp});
    }
  }
  view.nodes.push_back({VertexKind::kLeaf, "leaf", -1});
  view.edges.push_back({2, 6, LinkKind::kFabric});
  view.edges.push_back({5, 6, LinkKind::kFabric});

  const GroupedFabric apart = grouped(view, false);
  EXPECT_EQ(apart.view.nodes.size(), 7U);
  EXPECT_EQ(apart.view.edges.size(), 6U);
  const GroupedFabric together = grouped(view, true);
  ASSERT_EQ(together.view.nodes.size(), 5U);
  EXPECT_EQ(together.view.nodes[0].name, "node0, every gpu");
  EXPECT_THAT(together.of_edges, ElementsAre(0, 0, 0, 0, 1, 1, 1, 1, 2, 3));
}

}  // namespace
}  // namespace moesim
