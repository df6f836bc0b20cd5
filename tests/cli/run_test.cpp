// SPDX-License-Identifier: Apache-2.0
// `moesim run`, `explain` and `check`: results, result files, and that equal runs give equal bytes.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <sstream>

#include "sim/moe/traces/gzip.hpp"
#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::StartsWith;

class Runs : public Scene {};

/// Rows of cells; the cells of our tables hold no commas.
std::vector<std::vector<std::string>> rows_of(const std::string& csv) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(csv);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line + ",");
    rows.emplace_back();
    for (std::string cell; std::getline(cells, cell, ',');) {
      rows.back().push_back(cell);
    }
  }
  return rows;
}

TEST_F(Runs, PrintsASummaryForPeople) {
  const Outcome outcome = moesim({"run", "scenario.toml"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, StartsWith("scenario.toml: 3 step(s) of 2 MoE layers, "));
  EXPECT_THAT(outcome.out,
              HasSubstr("\ndropped: 0 of 768 assignments (0.00 %), gate weight "
                        "unknown (trace has none)\n"));
}

// 128 rows a rank, 16 a step: the ninth step reads what the first has read.
TEST_F(Runs, SaysHowManyStepsRepeatTheRoutingOfAnother) {
  const json report = json_of({"run", "scenario.toml", "--json", "--set", "batch.steps=10"});
  EXPECT_EQ(report["notes"].back(),
            "2 of 10 steps repeat the routing of an earlier one; each kind was simulated once");
  json again = report["steps"][9];
  again["step"] = 1;
  EXPECT_EQ(again, report["steps"][1]);
  EXPECT_NE(report["steps"][0]["makespan_s"], report["steps"][1]["makespan_s"]);
}

TEST_F(Runs, JsonIsOneDocumentAndNothingElse) {
  const Outcome outcome = moesim({"run", "scenario.toml", "--json", "--out", "results"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              AnyOf("results: results/report.json; page: results/report.html\n",
                    "results: results/report.json; no page: built without npm\n"));
  const json report = json::parse(outcome.out);
  EXPECT_EQ(report["format"], "moesim-report");
  EXPECT_EQ(outcome.out, read("results/report.json"));
}

// INV-1, INV-7
TEST_F(Runs, TheReportAddsUp) {
  const json report = json_of({"run", "scenario.toml", "--json"});
  ASSERT_EQ(report["steps"].size(), 3U);
  for (const json& step : report["steps"]) {
    for (const json& layer : step["layers"]) {
      EXPECT_EQ(layer["assignments"], 4 * 16 * 2);
      EXPECT_GT(layer["dispatch_bytes"].get<std::int64_t>(), 0);
      double parts = 0.0;
      for (const json& part : layer["critical_path"]) {
        parts += part.get<double>();
      }
      EXPECT_NEAR(parts, layer["makespan_s"].get<double>(), 1e-13);
      EXPECT_GE(layer["phases"]["dispatch"]["max_s"], layer["dispatch_bound_s"]);
    }
  }
  EXPECT_EQ(report["summary"]["assignments"], 768);
  EXPECT_EQ(report["inputs"][0]["path"], "scenario.toml");
}

TEST_F(Runs, CapacityDropsAssignmentsAndTheReportCountsThem) {
  const json report = json_of({"run",
                               "scenario.toml",
                               "--json",
                               "--set",
                               "capacity.policy=drop",
                               "--set",
                               "capacity.factor=1.0"});
  EXPECT_GT(report["summary"]["dropped_assignments"].get<int>(), 0);
  EXPECT_LT(report["summary"]["dropped_assignments"].get<int>(), 768);
}

// The pack is "./pack" of the working directory, "../../pack" of the result.
TEST_F(Runs, AResultCanBeRunAgainFromAnywhereAndMovedWithItsData) {
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "deep/results"}).code, 0);
  EXPECT_THAT(read("deep/results/scenario.toml"), HasSubstr("\ntrace = \"../../pack\"\n"));
  const json first = json::parse(read("deep/results/report.json"));
  EXPECT_EQ(json_of({"run", "deep/results/scenario.toml", "--json"})["steps"], first["steps"]);
  std::filesystem::create_directory(folder() / "moved");
  for (const char* entry : {"deep", "pack", "data"}) {
    std::filesystem::rename(folder() / entry, folder() / "moved" / entry);
  }
  const Outcome again =
      run_program(folder() / "moved", {"run", "deep/results/scenario.toml", "--json"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(json::parse(again.out)["steps"], first["steps"]);
}

TEST_F(Runs, APathThatWasAbsoluteStays) {
  const std::string pack = (folder() / "pack").string();
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "r", "--set", "routing.trace=" + pack}).code,
            0);
  EXPECT_THAT(read("r/scenario.toml"), HasSubstr("\ntrace = \"" + pack + "\"\n"));
}

TEST_F(Runs, TheReportNamesThePackItReplayed) {
  const json inputs = json_of({"run", "scenario.toml", "--json"})["inputs"];
  ASSERT_EQ(inputs.size(), 2U);
  EXPECT_EQ(inputs[0]["path"], "scenario.toml");
  EXPECT_EQ(inputs[1]["path"], "pack");
  EXPECT_EQ(inputs[1]["sha256"], json_of({"trace", "info", "pack", "--json"})["sha256"]);
  EXPECT_EQ(json_of({"check", "scenario.toml", "--json"})["inputs"], inputs);
}

TEST_F(Runs, EveryResultFileIsThereAndCanBeRead) {
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "deep/results/"}).code, 0);
  EXPECT_THAT(entries(), IsSupersetOf({"data", "deep", "pack", "scenario.toml"}));
  const json report = json::parse(read("deep/results/report.json"));
  EXPECT_EQ(read("deep/results/scenario.toml"), report["resolved_scenario"]);
  const auto layers = rows_of(read("deep/results/layers.csv"));
  EXPECT_EQ(layers.size(), 1U + 3 * 2);
  const auto experts = rows_of(read("deep/results/experts.csv"));
  EXPECT_EQ(experts.size(), 1U + 3 * 2 * 8);
  const auto ranks = rows_of(read("deep/results/ranks.csv"));
  EXPECT_EQ(ranks.size(), 1U + 3 * 2 * 4);
  const auto links = rows_of(read("deep/results/links.csv"));
  EXPECT_GT(links.size(), 1U);
  for (const auto* table : {&layers, &experts, &ranks, &links}) {
    for (const auto& row : *table) {
      EXPECT_EQ(row.size(), table->front().size());
    }
  }
  int assignments = 0;
  for (std::size_t i = 1; i < experts.size(); ++i) {
    assignments += std::stoi(experts[i][3]);
  }
  EXPECT_EQ(report["summary"]["assignments"], assignments);
}

TEST_F(Runs, AnEarlierResultFolderIsReplacedWhole) {
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "results"}).code, 0);
  write("results/stale.csv", "old");
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "results", "--seed", "8"}).code, 0);
  EXPECT_EQ(json::parse(read("results/report.json"))["seed"], 8);
  EXPECT_FALSE(std::filesystem::exists(folder() / "results/stale.csv"));
  EXPECT_THAT(entries(), ElementsAre("data", "pack", "results", "scenario.toml"));
}

// INV-6
TEST_F(Runs, TheSameRunGivesTheSameBytesAtAnyThreadCount) {
  const std::vector<std::string> base = {
      "run", "scenario.toml", "--set", "batch.steps=24", "--timeline"};
  const auto run_into = [&](const std::string& out, const std::string& threads) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), {"--out", out, "--threads", threads});
    ASSERT_EQ(moesim(arguments).code, 0);
  };
  run_into("one", "1");
  run_into("four", "4");
  run_into("again", "4");
  for (const char* file : {"report.json",
                           "summary.csv",
                           "layers.csv",
                           "experts.csv",
                           "ranks.csv",
                           "links.csv",
                           "pairs.csv",
                           "timeline.json.gz"}) {
    const std::string name = std::string("/") + file;
    EXPECT_EQ(read("one" + name), read("four" + name)) << file;
    EXPECT_EQ(read("four" + name), read("again" + name)) << file;
  }
}

// The page is a function of the report, so it is enough to look where there is one.
TEST_F(Runs, ThePageStandsBesideTheReportInABuildThatHasIt) {
  ASSERT_EQ(moesim({"run", "scenario.toml", "--out", "results"}).code, 0);
  const bool built = moesim({"--version"}).out.find("\nreport page: yes") != std::string::npos;
  EXPECT_EQ(std::filesystem::exists(folder() / "results/report.html"), built);
  if (built) {
    EXPECT_THAT(read("results/report.html"), StartsWith("<!doctype html>"));
  }
}

// Times of the slowest step, read back from the timeline: means over ranks are the report's.
TEST_F(Runs, TheTimelineAgreesWithTheSlowestStepOfTheReport) {
  const json report =
      json_of({"run", "scenario.toml", "--json", "--timeline", "--out", "results", "-q"});
  const json timeline =
      json::parse(traces::read_text(folder() / "results/timeline.json.gz", 1U << 26U));
  const std::size_t step = timeline["otherData"]["step"];
  for (const json& other : report["steps"]) {
    EXPECT_LE(other["makespan_s"], report["steps"][step]["makespan_s"]);
  }
  const json& layers = report["steps"][step]["layers"];
  std::map<std::pair<std::size_t, std::string>, double> seconds;
  double last = 0.0;
  for (const json& event : timeline["traceEvents"]) {
    if (event["ph"] == "X") {
      seconds[{event["args"]["layer"].get<std::size_t>(), event["name"].get<std::string>()}] +=
          event["dur"].get<double>() * 1e-6;
      last = std::max(last, event["ts"].get<double>() + event["dur"].get<double>());
    }
  }
  EXPECT_NEAR(last * 1e-6, report["steps"][step]["makespan_s"].get<double>(), 1e-12);
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const auto mean = [&](const char* phase) {
      return layers[layer]["phases"][phase]["mean_s"].get<double>();
    };
    const auto of = [&](const char* name) { return seconds[{layer, name}] / 4; };
    EXPECT_NEAR(of("gate"), mean("gate"), 1e-12);
    EXPECT_NEAR(of("dispatch"), mean("dispatch"), 1e-12);
    EXPECT_NEAR(of("experts"), mean("experts"), 1e-12);
    EXPECT_NEAR(of("combine") + of("weighted sum"), mean("combine"), 1e-12);
  }
}

TEST_F(Runs, TheTimelineNeedsAFolderAndASimulationOfLayers) {
  EXPECT_EQ(moesim({"run", "scenario.toml", "--timeline"}).err,
            "error: --timeline: needs --out DIR, the folder that timeline.json.gz goes to\n");
  const Outcome gpu =
      moesim({"run", "scenario.toml", "--timeline", "--out", "results", "--backend", "gpu"});
  EXPECT_EQ(gpu.code, 2);
  EXPECT_EQ(gpu.err, "error: --timeline: only for simulations (--backend sim)\n");
}

TEST_F(Runs, FaultsChangeTheResultAndAreNamed) {
  const double whole = json_of({"run", "scenario.toml", "--json"})["summary"]["step_s"]["mean"];
  const std::vector<std::string> faults = {"--set",
                                           R"(faults.nics=["node0/nic0: 0.01"])",
                                           "--set",
                                           R"(faults.gpus=["node1/gpu0: 0.5"])"};
  std::vector<std::string> arguments = {"run", "scenario.toml", "--json"};
  arguments.insert(arguments.end(), faults.begin(), faults.end());
  const json report = json_of(arguments);
  EXPECT_GT(report["summary"]["step_s"]["mean"].get<double>(), whole);
  EXPECT_EQ(report["faults"],
            json({"nic node0/nic0 is at 1 %", "gpu node1/gpu0 computes at 50 %"}));
  arguments = {"explain", "scenario.toml"};
  arguments.insert(arguments.end(), faults.begin(), faults.end());
  EXPECT_THAT(moesim(arguments).out,
              HasSubstr("fault: nic node0/nic0 is at 1 %\nfault: gpu node1/gpu0 computes at 50 %"));
}

TEST_F(Runs, AnUnreachablePairNamesTheCut) {
  const Outcome outcome =
      moesim({"run", "scenario.toml", "--set", R"(faults.nics=["node0/nic0: down"])"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("every path crosses a link that is down: "));
  EXPECT_THAT(outcome.err, HasSubstr("node0/nic0"));
}

TEST_F(Runs, AnotherSeedDrawsOtherTokens) {
  const json first = json_of({"run", "scenario.toml", "--json"});
  const json second = json_of({"run", "scenario.toml", "--json", "--seed", "8"});
  EXPECT_EQ(second["seed"], 8);
  EXPECT_NE(first["steps"], second["steps"]);
}

TEST_F(Runs, TheResolvedScenarioRunsToTheSameSteps) {
  const Outcome check =
      moesim({"check", "scenario.toml", "--set", "capacity.policy=drop", "--seed", "11"});
  ASSERT_EQ(check.code, 0) << check.err;
  EXPECT_EQ(check.err,
            "note: cost constants are assumed, not measured: compare scenarios, do not quote\n"
            "  times\n");
  write("resolved.toml", check.out);
  const json original =
      json_of({"run", "scenario.toml", "--json", "--set", "capacity.policy=drop", "--seed", "11"});
  const json resolved = json_of({"run", "resolved.toml", "--json"});
  EXPECT_EQ(original["steps"], resolved["steps"]);
  EXPECT_EQ(original["resolved_scenario"], resolved["resolved_scenario"]);
}

TEST_F(Runs, CheckAsJsonHoldsTheResolvedScenario) {
  const json check = json_of({"check", "scenario.toml", "--json", "--out", "checked"});
  EXPECT_EQ(check["format"], "moesim-check");
  EXPECT_EQ(check["resolved_scenario"], read("checked/scenario.toml"));
  EXPECT_EQ(check["inputs"][0]["sha256"].get<std::string>().size(), 64U);
}

TEST_F(Runs, TheSimGridEngineRunsOrIsSaidToBeAbsent) {
  const std::vector<std::string> arguments = {
      "run", "scenario.toml", "--json", "--set", "network.engine=simgrid"};
  const Outcome outcome = moesim(arguments);
  if (moesim({"--version"}).out.find("simgrid engine: no") != std::string::npos) {
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.err,
              "error: network.engine: \"simgrid\" is not in this build; see moesim --version\n");
    return;
  }
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json fluid = json_of({"run", "scenario.toml", "--json"});
  const json simgrid = json::parse(outcome.out);
  const double mine = fluid["summary"]["step_s"]["mean"];
  EXPECT_NEAR(simgrid["summary"]["step_s"]["mean"].get<double>(), mine, 1e-3 * mine);
}

TEST_F(Runs, ExplainShowsTheLayerAskedFor) {
  const Outcome outcome = moesim({"explain", "scenario.toml", "--layer", "1"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\nlayer 1\n"));
  EXPECT_THAT(outcome.out, testing::Not(HasSubstr("\nlayer 0\n")));
}

}  // namespace
}  // namespace moesim::cli_tests
