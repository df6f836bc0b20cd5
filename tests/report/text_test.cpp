// SPDX-License-Identifier: Apache-2.0
// What a person reads: the words, the numbers, and that it fits a terminal of 80 columns.
#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include <sstream>

#include "sim/report/text_report.hpp"
#include "tests/report/small_report.hpp"

namespace moesim {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> wide_lines(const std::string& text) {
  std::vector<std::string> wide;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > 80) {
      wide.push_back(line);
    }
  }
  return wide;
}

TEST(SummaryText, IsThisForASmallRun) {
  EXPECT_EQ(summary_text(small_report()),
            "small.toml: 2 step(s) of 1 MoE layers, 8 network flows, seed 3\n"
            "routing: toy (whole sequences)\n"
            "joined: a join\n"
            "evidence: assumed (a guess)\n"
            "\n"
            "MoE layers of a step     mean      min      P50      P99      max\n"
            "time                  30.0 us  20.0 us  20.0 us  40.0 us  40.0 us\n"
            "\n"
            "phase (all layers)  mean rank  slowest rank         grade    P10-P90\n"
            "gate                  1.00 us       1.00 us       assumed    unknown\n"
            "dispatch              4.00 us       5.00 us       assumed    unknown\n"
            "experts               5.00 us       10.0 us  extrapolated  0.90-1.25\n"
            "combine               3.00 us       4.00 us       assumed    unknown\n"
            "\n"
            "critical path      time    share\n"
            "gate            1.00 us   3.33 %\n"
            "launch_latency  2.00 us   6.67 %\n"
            "sender          3.00 us  10.00 %\n"
            "experts         20.0 us  66.67 %\n"
            "combine         4.00 us  13.33 %\n"
            "\n"
            "dropped: 20 of 200 assignments (10.00 %), gate weight 4.00 %\n"
            "imbalance (max/mean over ranks, mean of layers): 1.50\n"
            "tokens that lose all their experts: 6 of 100 (6.00 %)\n"
            "taken by another expert: 8 of 200 assignments\n"
            "padding: 18 rows without a token (9.09 % of those computed)\n"
            "slowest layer: 0 (30.0 us mean)\n"
            "  hot expert 1: 60 assignments (1.25 x mean)\n"
            "  hot rank 0: 68 assignments (1.50 x mean)\n"
            "  hot link b->a: 3.00 kB, busy 3.00 us\n"
            "  dispatch 5.00 us: at least 3.00 us on these paths, 2.50 us on any (domain 0\n"
            "    out)\n"
            "  combine 4.00 us: at least 2.00 us on these paths\n"
            "note: a note\n"
            "extrapolated: experts: rows 3; \"k\" was fitted from 4 to 8\n");
}

TEST(SummaryText, SaysWhatFaultsCost) {
  RunReport report = small_report();
  report.faults = {"nic node0/nic0 is down"};
  report.without_faults = WithoutFaults{.step_mean_s = 24e-6, .layer_makespan_s = {20e-6}};
  EXPECT_THAT(summary_text(report),
              HasSubstr("\nfaults change the step by +25.00 %: 30.0 us mean, 24.0 us without them\n"
                        "note: a note\nfault: nic node0/nic0 is down\n"));
  EXPECT_THAT(explain_text(report, -1),
              HasSubstr("\nwhat the faults change, means over steps\n"
                        "layer  with faults  without    change\n"
                        "0          30.0 us  20.0 us  +50.00 %\n"));
}

TEST(ExplainText, ShowsWhatNoScheduleBeats) {
  EXPECT_THAT(explain_text(small_report(), -1),
              HasSubstr("\nwhat no network schedule beats: on the paths taken, and on any paths\n"
                        "layer       slowest rank  these paths  any paths   slowest cut\n"
                        "0 dispatch       5.00 us      3.00 us    2.50 us  domain 0 out\n"
                        "0 combine        4.00 us      2.00 us          -             -\n"));
}

TEST(SummaryText, SaysWhenTheDroppedWeightIsUnknown) {
  RunReport report = small_report();
  report.steps[0].layers[0].dropped_weight.reset();
  EXPECT_THAT(summary_text(report), HasSubstr("gate weight unknown (trace has none)\n"));
}

TEST(ExplainText, NamesTheHotSpotsOfEachLayer) {
  EXPECT_THAT(explain_text(small_report(), -1),
              HasSubstr("\nlayer 0\n"
                        "  experts: 1 (60) 0 (40)\n"
                        "  ranks:   0 (68)\n"
                        "  pairs:   0->1 (700 B)\n"
                        "  links:\n"
                        "    b->a: 3.00 kB, busy 3.00 us\n"));
}

TEST(ExplainText, ShowsOnlyTheLayerThatIsAskedFor) {
  RunReport report = small_report();
  for (StepResult& step : report.steps) {
    step.layers.push_back(step.layers[0]);
    step.layers[1].layer = 1;
  }
  EXPECT_THAT(explain_text(report, 1), HasSubstr("\nlayer 1\n"));
  EXPECT_THAT(explain_text(report, 1), Not(HasSubstr("\nlayer 0\n")));
  EXPECT_THAT(explain_text(report, -1), HasSubstr("\nlayer 0\n"));
}

TEST(Texts, FitEightyColumnsWithLongNamesAndLongTimes) {
  RunReport report = small_report();
  report.scenario = "a/folder/with/a/longer/name/scenario.toml";
  report.routing.draw = "every rank reads whole sequences, which are dealt in a random order";
  report.notes = {
      "routing was recorded from some-model; layer sizes are those of another-model-base"};
  for (StepResult& step : report.steps) {
    step.layers[0].hot_pairs.assign(5, {RankId{1000}, RankId{1001}, 123'456'789});
    for (SimTime& part : step.layers[0].parts) {
      part = ticks(Seconds{9.8765e-3});
    }
    step.parts = step.layers[0].parts;
    step.layers[0].last_finish = ticks(Seconds{9 * 9.8765e-3});
  }
  EXPECT_THAT(wide_lines(summary_text(report)), IsEmpty());
  const std::string explained = explain_text(report, -1);
  EXPECT_THAT(wide_lines(explained), IsEmpty());
  EXPECT_THAT(explained,
              HasSubstr("  pairs:   1000->1001 (123 MB) 1000->1001 (123 MB) 1000->1001 (123 MB)\n"
                        "           1000->1001 (123 MB) 1000->1001 (123 MB)\n"));
}

}  // namespace
}  // namespace moesim
