// SPDX-License-Identifier: Apache-2.0
// The summary's arithmetic, the JSON document and the CSV tables of a run written by hand.
#include <fmt/core.h>
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>

#include "sim/report/csv_report.hpp"
#include "sim/report/json_report.hpp"
#include "tests/report/small_report.hpp"

namespace moesim {
namespace {

using nlohmann::json;

TEST(Summary, AddsCountsAndAveragesTimesOverSteps) {
  const RunReport report = small_report();
  const RunSummary run = summarise(report);
  EXPECT_DOUBLE_EQ(run.step_s.mean, 30e-6);
  EXPECT_DOUBLE_EQ(run.step_s.min, 20e-6);
  EXPECT_DOUBLE_EQ(run.step_s.p50, 20e-6);
  EXPECT_DOUBLE_EQ(run.step_s.max, 40e-6);
  EXPECT_EQ(run.assignments, 200);
  EXPECT_EQ(run.dropped, 20);
  EXPECT_DOUBLE_EQ(run.dropped_share(), 0.1);
  EXPECT_DOUBLE_EQ(run.dropped_weight_share().value(), 0.04);
  EXPECT_DOUBLE_EQ(run.rank_imbalance, 1.5);
  EXPECT_EQ(run.flows, 8);
  EXPECT_EQ(run.network_events, 12);
  ASSERT_EQ(run.layers.size(), 1U);
  EXPECT_DOUBLE_EQ(run.layers[0].makespan_s, 30e-6);
  EXPECT_EQ(run.layers[0].slowest, &report.steps[1].layers[0]);
}

// INV-7
TEST(Summary, PartsOfTheCriticalPathAddUpToTheMeanStep) {
  const RunReport report = small_report();
  const RunSummary run = summarise(report);
  EXPECT_DOUBLE_EQ(run.parts_s[static_cast<std::size_t>(Part::kExperts)], 20e-6);
  EXPECT_NEAR(run.parts_total_s, run.step_s.mean, 1e-18);
}

TEST(Summary, OneStepWithoutGateWeightsMakesTheDroppedWeightUnknown) {
  RunReport report = small_report();
  report.steps[1].layers[0].dropped_weight.reset();
  EXPECT_FALSE(summarise(report).dropped_weight_share().has_value());
  const json document = json::parse(to_json(report));
  EXPECT_TRUE(document["summary"]["dropped_gate_weight_ratio"].is_null());
  EXPECT_EQ(document["steps"][0]["layers"][0]["dropped_gate_weight"], 2.0);
  EXPECT_TRUE(document["steps"][1]["layers"][0]["dropped_gate_weight"].is_null());
}

TEST(Summary, NoAssignmentsDropNothing) {
  EXPECT_EQ(RunSummary{}.dropped_share(), 0.0);
  EXPECT_FALSE(RunSummary{}.dropped_weight_share().has_value());
}

constexpr const char* kGoldenHead = R"({
  "format": "moesim-report",
  "format_version": 1,
  "moesim_version": "9.8.7",
  "scenario": "small.toml",
  "seed": 3,
  "inputs": [
    {
      "path": "small.toml",
      "sha256": "00ff"
    }
  ],
  "evidence": {
    "grade": "assumed",
    "source": "a guess",
    "band": null,
    "phases": {
      "gate": {
        "grade": "assumed",
        "kernel": "",
        "band": null,
        "outside": []
      },
      "dispatch": {
        "grade": "assumed",
        "kernel": "",
        "band": null,
        "outside": []
      },
      "experts": {
        "grade": "extrapolated",
        "kernel": "k",
        "band": {
          "p10_ratio": 0.9,
          "p90_ratio": 1.25
        },
        "outside": [
          "experts: rows 3; \"k\" was fitted from 4 to 8"
        ]
      },
      "combine": {
        "grade": "assumed",
        "kernel": "",
        "band": null,
        "outside": []
      }
    }
  },
  "notes": [
    "a note"
  ],
  "joins": [
    "a join"
  ],
  "faults": [],
  "routing": {
    "model": "toy",
    "origin": "trace",
    "draw": "whole sequences",
    "experts": 2,
    "top_k": 1,
    "layers": 1,
    "has_gate_weights": true
  },
  "fault_effect": null,
  "summary": {
    "steps": 2,
)";

constexpr const char* kGoldenLayer = R"({
 "layer": 0, "first_start_s": 0.0, "last_finish_s": 2e-05, "makespan_s": 2e-05,
 "phases": {"gate": {"mean_s": 1e-06, "max_s": 1e-06},
            "dispatch": {"mean_s": 4e-06, "max_s": 5e-06},
            "experts": {"mean_s": 5e-06, "max_s": 1e-05},
            "combine": {"mean_s": 3e-06, "max_s": 4e-06}},
 "dispatch_bound_s": 3e-06, "combine_bound_s": 2e-06,
 "dispatch_cut": {"name": "domain 0 out", "bound_s": 2.5e-06}, "combine_cut": null,
 "critical_path": {"gate_s": 1e-06, "launch_latency_s": 2e-06, "sender_s": 3e-06,
                   "hot_link_s": 0.0, "receiver_s": 0.0, "experts_s": 1e-05,
                   "hot_expert_s": 0.0, "combine_s": 4e-06, "straggler_wait_s": 0.0},
 "assignments": 100, "dropped_assignments": 10,
 "gate_weight": 50.0, "dropped_gate_weight": 2.0,
 "diverted_assignments": 4, "tokens": 50, "lost_tokens": 3, "padding_rows": 9,
 "rank_imbalance_ratio": 1.5, "expert_imbalance_ratio": 1.25,
 "dispatch_bytes": 1000, "combine_bytes": 2000, "scale_out_bytes": 500,
 "hot": {"experts": [{"expert": 1, "assignments": 60.0}, {"expert": 0, "assignments": 40.0}],
         "ranks": [{"rank": 0, "assignments": 68.0}],
         "pairs": [{"source": 0, "destination": 1, "dispatch_bytes": 700}],
         "links": [{"link": 1, "name": "b->a", "bytes": 3000, "busy_s": 3e-06}]}
})";

/// The document's numbers to 12 digits: products with 1e-12 may differ in the last bit.
json rounded(json value) {
  if (value.is_number_float()) {
    return std::stod(std::to_string(value.get<double>() * 1e9));
  }
  if (value.is_structured()) {
    for (json& item : value) {
      item = rounded(item);
    }
  }
  return value;
}

TEST(JsonReport, BeginsWithWhatIsNeededToRepeatTheRun) {
  const std::string text = to_json(small_report());
  EXPECT_THAT(text, testing::StartsWith(kGoldenHead));
  EXPECT_THAT(text, testing::EndsWith("  \"resolved_scenario\": \"seed = 3\\n\"\n}\n"));
}

TEST(JsonReport, HoldsEveryNumberOfALayer) {
  const json document = json::parse(to_json(small_report()));
  ASSERT_EQ(document["steps"].size(), 2U);
  EXPECT_EQ(rounded(document["steps"][0]["layers"][0]), rounded(json::parse(kGoldenLayer)));
  EXPECT_EQ(document["steps"][1]["step"], 1);
  EXPECT_EQ(document["steps"][1]["flows"], 4);
  EXPECT_EQ(document["steps"][1]["network_events"], 6);
}

TEST(JsonReport, SummaryAgreesWithTheSteps) {
  const json summary = json::parse(to_json(small_report()))["summary"];
  EXPECT_NEAR(summary["step_s"]["mean"].get<double>(), 30e-6, 1e-15);
  EXPECT_NEAR(summary["step_s"]["p99"].get<double>(), 40e-6, 1e-15);
  EXPECT_EQ(summary["assignments"], 200);
  EXPECT_EQ(summary["dropped_assignments"], 20);
  EXPECT_NEAR(summary["dropped_ratio"].get<double>(), 0.1, 1e-15);
  EXPECT_EQ(summary["diverted_assignments"], 8);
  EXPECT_NEAR(summary["lost_token_ratio"].get<double>(), 0.06, 1e-15);
  EXPECT_EQ(summary["padding_rows"], 18);
  EXPECT_NEAR(summary["padding_ratio"].get<double>(), 18.0 / 198.0, 1e-15);
  EXPECT_EQ(summary["layers"].size(), 1U);
  EXPECT_EQ(summary["layers"][0]["assignments"], 200);
}

// INV-7, by layer: means over steps of 20 and 40 us.
TEST(JsonReport, TheMeanCriticalPathOfALayerSumsToItsMeanMakespan) {
  const json layer = json::parse(to_json(small_report()))["summary"]["layers"][0];
  double sum = 0.0;
  for (const json& part : layer["critical_path"]) {
    sum += part.get<double>();
  }
  EXPECT_EQ(layer["critical_path"].size(), kNumParts);
  EXPECT_NEAR(layer["critical_path"]["experts_s"].get<double>(), 20e-6, 1e-15);
  EXPECT_NEAR(sum, layer["makespan_s"].get<double>(), 1e-15);
}

TEST(JsonReport, TextThatIsNotUtf8DoesNotBreakTheDocument) {
  RunReport report = small_report();
  report.scenario = "caf\xe9.toml";
  EXPECT_EQ(json::parse(to_json(report))["scenario"], "caf\xEF\xBF\xBD.toml");
}

/// Numbers of the table to 12 digits: a picosecond count times 1e-12 may miss in the last bit.
std::string to_twelve_digits(const std::string& csv) {
  const std::string tail = csv.substr(csv.find('\n') + 1);
  std::string text = csv.substr(0, csv.find('\n') + 1);
  for (std::size_t at = 0; at < tail.size();) {
    const std::size_t end = tail.find_first_of(",\n", at);
    const std::string cell = tail.substr(at, end - at);
    char* rest = nullptr;
    const double number = std::strtod(cell.c_str(), &rest);
    text += cell.empty() || *rest != '\0' ? cell : fmt::format("{:.12g}", number);
    text += tail[end];
    at = end + 1;
  }
  return text;
}

TEST(CsvReport, LayersHaveOneRowPerStepAndLayer) {
  EXPECT_EQ(to_twelve_digits(layers_csv(small_report())),
            "step,layer,first_start_s,last_finish_s,makespan_s,gate_mean_s,gate_max_s,"
            "dispatch_mean_s,dispatch_max_s,experts_mean_s,experts_max_s,combine_mean_s,"
            "combine_max_s,dispatch_bound_s,combine_bound_s,path_gate_s,path_launch_latency_s,"
            "path_sender_s,path_hot_link_s,path_receiver_s,path_experts_s,path_hot_expert_s,"
            "path_combine_s,path_straggler_wait_s,assignments,dropped_assignments,gate_weight,"
            "dropped_gate_weight,rank_imbalance_ratio,expert_imbalance_ratio,dispatch_bytes,"
            "combine_bytes,scale_out_bytes,diverted_assignments,tokens,lost_tokens,padding_rows\n"
            "0,0,0,2e-05,2e-05,1e-06,1e-06,4e-06,5e-06,5e-06,1e-05,3e-06,4e-06,3e-06,2e-06,1e-06,"
            "2e-06,3e-06,0,0,1e-05,0,4e-06,0,100,10,50,2,1.5,1.25,1000,2000,500,4,50,3,9\n"
            "1,0,0,4e-05,4e-05,1e-06,1e-06,4e-06,5e-06,5e-06,1e-05,3e-06,4e-06,3e-06,2e-06,1e-06,"
            "2e-06,3e-06,0,0,3e-05,0,4e-06,0,100,10,50,2,1.5,1.25,1000,2000,500,4,50,3,9\n");
}

TEST(CsvReport, AnUnknownDroppedWeightIsAnEmptyCell) {
  RunReport report = small_report();
  report.steps[0].layers[0].dropped_weight.reset();
  EXPECT_THAT(layers_csv(report), testing::HasSubstr(",100,10,50,,1.5,"));
}

TEST(CsvReport, SummaryIsOneRowWithTheHotSpotsOfTheSlowestLayer) {
  EXPECT_EQ(summary_csv(small_report()),
            "step_mean_s,step_p50_s,step_p99_s,gate_s,dispatch_s,experts_s,combine_s,"
            "rank_imbalance_ratio,dropped_ratio,dropped_gate_weight_ratio,slowest_layer,"
            "hot_expert,hot_rank,hot_link,grade,band_p10_ratio,band_p90_ratio,gate_grade,"
            "dispatch_grade,experts_grade,combine_grade\n"
            "3.0000000000000004e-05,2e-05,4e-05,1e-06,4.9999999999999996e-06,"
            "9.999999999999999e-06,4e-06,1.5,0.1,0.04,0,1,0,b->a,assumed,,,assumed,assumed,"
            "extrapolated,assumed\n");
}

TEST(CsvReport, ExpertsAndRanksHaveOneRowEach) {
  EXPECT_EQ(experts_csv(small_report()),
            "step,layer,expert,assignments\n0,0,0,40\n0,0,1,60\n1,0,0,40\n1,0,1,60\n");
  EXPECT_EQ(ranks_csv(small_report()),
            "step,layer,rank,assignments\n0,0,0,68\n0,0,1,22\n1,0,0,68\n1,0,1,22\n");
}

TEST(CsvReport, PairsAreSumsOverSteps) {
  EXPECT_EQ(pairs_csv(small_report()),
            "source,destination,ranks_per_cell,dispatch_bytes\n"
            "0,0,1,0\n0,1,1,1400\n1,0,1,400\n1,1,1,0\n");
}

TEST(CsvReport, LinksThatCarriedNothingAreLeftOut) {
  EXPECT_EQ(to_twelve_digits(links_csv(small_report())),
            "step,link,name,bytes,effective_bytes_per_s,utilization_ratio\n"
            "0,1,b->a,3000,1000000000,0.15\n"
            "1,1,b->a,3000,1000000000,0.075\n");
}

TEST(JsonReport, SaysWhatFaultsCost) {
  RunReport report = small_report();
  report.without_faults = WithoutFaults{.step_mean_s = 24e-6, .layer_makespan_s = {20e-6}};
  const auto effect = nlohmann::json::parse(to_json(report))["fault_effect"];
  EXPECT_EQ(effect["step_mean_without_s"], 24e-6);
  EXPECT_NEAR(effect["step_ratio"].get<double>(), 1.25, 1e-12);
  EXPECT_EQ(effect["layers"][0]["layer"], 0);
  EXPECT_EQ(effect["layers"][0]["makespan_without_s"], 20e-6);
  EXPECT_NEAR(effect["layers"][0]["makespan_ratio"].get<double>(), 1.5, 1e-12);
}

// Steps of 20 and 40 us of one layer: 30 us each in the mean.
TEST(WithoutFaults, AreMeansOverSteps) {
  const WithoutFaults sums = without_faults(small_report().steps);
  EXPECT_NEAR(sums.step_mean_s, 30e-6, 1e-18);
  ASSERT_EQ(sums.layer_makespan_s.size(), 1U);
  EXPECT_NEAR(sums.layer_makespan_s[0], 30e-6, 1e-18);
}

}  // namespace
}  // namespace moesim
