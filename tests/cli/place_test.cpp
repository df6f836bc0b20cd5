// SPDX-License-Identifier: Apache-2.0
// `moesim place`: results, files, mistakes; lost nodes whose experts have replicas.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Place : public Scene {
 protected:
  Place() { edit_scenario("steps = 3", "steps = 8"); }

  /// The command with these options.
  static std::vector<std::string> place(const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"place", "scenario.toml", "--moves", "300"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return arguments;
  }
  void expect_mistake(const std::vector<std::string>& options, const std::string& words) const {
    const Outcome outcome = moesim(place(options));
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "error: " + words + "\n");
  }
  static std::vector<std::string> names_in(const json& report) {
    std::vector<std::string> names;
    for (const json& placement : report["placements"]) {
      names.push_back(placement["name"]);
    }
    return names;
  }
};

TEST_F(Place, JudgesPlacementsOnLaterSteps) {
  const json report = json_of(place({"--json", "--train", "2"}));
  EXPECT_EQ(report["format"], "moesim-placement");
  EXPECT_EQ(report["training"], json::parse(R"({"first_step": 0, "steps": 2})"));
  EXPECT_EQ(report["judged"], json::parse(R"({"first_step": 2, "steps": 6, "windows": 4})"));
  EXPECT_THAT(
      names_in(report),
      ElementsAre(
          "baseline", "contiguous", "round_robin", "random", "greedy", "eplb", "optimised"));
  const json& baseline = report["placements"][0];
  const json& contiguous = report["placements"][1];
  const json& eplb = report["placements"][5];
  EXPECT_EQ(baseline["step_s"], contiguous["step_s"]);  // the scenario's own is contiguous
  EXPECT_EQ(contiguous["verdict"]["verdict"], "skip");
  EXPECT_EQ(contiguous["migration"]["bytes"], 0);
  EXPECT_EQ(eplb["slots_per_rank"], 3);
  EXPECT_LT(eplb["rank_imbalance_ratio"]["mean"], baseline["rank_imbalance_ratio"]["mean"]);
  EXPECT_GT(eplb["migration"]["bytes"].get<double>(), 0.0);
  EXPECT_GT(eplb["migration"]["pause_s"].get<double>(), 0.0);
  // one slot more of 3 * 256 * 512 bf16 weights, in each of two layers
  EXPECT_EQ(eplb["replica_bytes"], 2.0 * 3 * 256 * 512 * 2);
  EXPECT_EQ(eplb["window_gain_ratio"].size(), 4U);
  EXPECT_EQ(report["placements"][6]["slots_per_rank"], 3);
  for (const json& placement : report["placements"]) {
    const double bound = placement["bound_layer_s"];
    EXPECT_GT(bound, 0.3 * placement["layer_s"]["mean"].get<double>());
    EXPECT_LE(bound, placement["layer_s"]["mean"].get<double>());
  }
}

TEST_F(Place, TheBaselineRunsAsRunDoes) {
  const json report = json_of(place({"--json", "--train", "2", "--placements", "greedy"}));
  const json run = json_of({"run", "scenario.toml", "--json"});
  double sum = 0.0;
  for (std::size_t step = 2; step < 8; ++step) {
    sum += run["steps"][step]["makespan_s"].get<double>();
  }
  EXPECT_DOUBLE_EQ(report["placements"][0]["step_s"]["mean"].get<double>(), sum / 6);
}

TEST_F(Place, WritesTablesAPictureAndMapsThatEnginesRead) {
  const Outcome outcome =
      moesim(place({"--json", "--out", "results", "--placements", "greedy,eplb"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, testing::StartsWith("results: results/place.json; "));
  EXPECT_EQ(outcome.out, read("results/place.json"));
  EXPECT_THAT(read("results/place.csv"),
              StartsWith("placement,rank_imbalance_ratio,layer_mean_s,"));
  EXPECT_THAT(read("results/steps.csv"), StartsWith("placement,step,step_s,scale_out_bytes\n"));
  EXPECT_THAT(read("results/place.svg"), StartsWith("<svg "));
  const json before = json::parse(outcome.out);
  for (const char* ending : {".sglang.json", ".tensorrt_llm.yaml", ".vllm_ascend.json"}) {
    const std::string map = std::string("results/eplb") + ending;
    const json again = json_of(place({"--json", "--placements", "greedy", "--map", map}));
    EXPECT_EQ(again["placements"][2]["name"], std::string("eplb") + ending);
    EXPECT_EQ(again["placements"][2]["step_s"], before["placements"][2]["step_s"]) << ending;
    const json run = json_of({"run",
                              "scenario.toml",
                              "--json",
                              "--set",
                              "placement.kind=file",
                              "--set",
                              "placement.file=" + map});
    EXPECT_EQ(run["steps"].size(), 8U);
  }
}

TEST_F(Place, EqualStudiesGiveEqualBytes) {
  const auto with_threads = [&](const char* threads) {
    return moesim(place({"--json", "--threads", threads, "--every", "2", "--threshold", "1.1"}))
        .out;
  };
  EXPECT_EQ(with_threads("1"), with_threads("3"));
}

TEST_F(Place, ComparesPoliciesOverTime) {
  const json report =
      json_of(place({"--json", "--train", "2", "--every", "2,3", "--threshold", "1000"}));
  ASSERT_EQ(report["policies"].size(), 4U);
  EXPECT_EQ(report["policies"][0]["policy"], "never");
  EXPECT_EQ(report["policies"][1]["policy"], "every 2 steps");
  EXPECT_EQ(report["policies"][3]["policy"], "above imbalance 1000");
  EXPECT_EQ(report["policies"][0]["moves"], 0);
  EXPECT_GT(report["policies"][1]["moves"], report["policies"][2]["moves"]);
  EXPECT_EQ(report["policies"][3]["moves"], 0);
  EXPECT_EQ(report["policies"][0]["step_s"], report["placements"][0]["step_s"]);
  const Outcome text = moesim(place({"--train", "2", "--every", "2"}));
  EXPECT_THAT(text.out, HasSubstr("EPLB made anew  moves"));
}

TEST_F(Place, TheTextGivesAVerdictForEachAndTheNumberThatFlipsIt) {
  const Outcome outcome = moesim(place({"--train", "2"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              StartsWith("scenario.toml: 7 placements made from steps 0 to 1, judged on steps 2 to "
                         "7, seed\n  7\n"));
  EXPECT_THAT(outcome.out, HasSubstr("placement    imbal."));
  EXPECT_THAT(outcome.out, HasSubstr("slowest layer, before and with the fastest:\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\ncontiguous: skip: it is the baseline\n"));
  EXPECT_THAT(outcome.out, ContainsRegex("\neplb: (try|skip|unknown): "));
}

TEST_F(Place, ASurvivingPlacementOutlivesANode) {
  const Outcome placed = moesim(place(
      {"--json", "--survive", "1", "--placements", "greedy", "--no-bounds", "--out", "results"}));
  ASSERT_EQ(placed.code, 0) << placed.err;
  const json report = json::parse(placed.out);
  EXPECT_EQ(report["placements"][1]["experts_lost_with_a_node"], 8);  // 4 of each of 2 layers
  EXPECT_EQ(report["placements"][2]["name"], "survive");
  EXPECT_EQ(report["placements"][2]["experts_lost_with_a_node"], 0);
  const json unsearched = json_of({"place",
                                   "scenario.toml",
                                   "--json",
                                   "--survive",
                                   "1",
                                   "--placements",
                                   "greedy",
                                   "--no-bounds",
                                   "--moves",
                                   "0"});
  // Searched on steps 0 and 1, judged on later ones: other, and no slower but for what they draw.
  EXPECT_NE(report["placements"][2]["layer_s"], unsearched["placements"][2]["layer_s"]);
  EXPECT_LE(report["placements"][2]["layer_s"]["mean"].get<double>(),
            1.001 * unsearched["placements"][2]["layer_s"]["mean"].get<double>());
  const std::vector<std::string> with_loss = {"run",
                                              "scenario.toml",
                                              "--json",
                                              "--set",
                                              "faults.nodes=[\"node1\"]",
                                              "--set",
                                              "placement.kind=file",
                                              "--set",
                                              "placement.file=results/survive.sglang.json"};
  for (const char* dispatcher : {"pairwise", "hierarchical", "low_latency", "nccl", "all_gather"}) {
    std::vector<std::string> arguments = with_loss;
    arguments.insert(arguments.end(), {"--set", std::string("dispatch.dispatcher=") + dispatcher});
    const json run = json_of(arguments);
    // 2 ranks x 16 tokens x 2 experts are left of 4 ranks, 8 steps of 2 layers, none dropped
    EXPECT_EQ(run["summary"]["assignments"], 2 * 16 * 2 * 8 * 2) << dispatcher;
    EXPECT_EQ(run["summary"]["dropped_assignments"], 0);
  }
}

// One node, tokens that choose by themselves: a map for the nearest replicas learns which ranks
// chance made busy, and only steps that it has not seen show it.
TEST_F(Place, KeepsTheChoiceOfReplicasThatLaterStepsConfirm) {
  const std::string shipped = "]\npreset = \"" MOESIM_SOURCE_DIR "/scenarios/";
  write("node.toml",
        "[model" + shipped + "models/mixtral-8x7b.toml\"\nlayers = 2\nmoe_layers = 2\n[cluster" +
            shipped + "clusters/h200-hgx.toml\"\nnodes = 1\n[calibration" + shipped +
            "calibration/assumed.toml\"\n[parallel]\nep = 8\n[batch]\ntokens_per_rank = 256\n"
            "steps = 10\n[routing]\nsource = \"generated\"\ndraw = \"tokens\"\n"
            "[routing.generated]\nkind = \"log_normal\"\npopularity_sigma = 0.3\n");
  const auto optimised = [&](const char* choices) {
    return json_of({"place",
                    "node.toml",
                    "--slots",
                    "16",
                    "--train",
                    "8",
                    "--moves",
                    "2000",
                    "--placements",
                    "optimised",
                    "--no-bounds",
                    "--choices",
                    choices,
                    "--json"})["placements"][1];
  };
  const json kept = optimised("even,nearest");
  EXPECT_EQ(kept["replica_choice"], "even");
  EXPECT_LT(kept["layer_s"]["mean"], optimised("nearest")["layer_s"]["mean"]);
}

TEST_F(Place, TriesChoicesOfReplicasAndShowsWhatHindsightWouldGive) {
  const auto with = [&](const char* choices) {
    return place(
        {"--train", "2", "--placements", "eplb,optimised,hindsight", "--choices", choices});
  };
  std::vector<std::string> arguments = with("even,nearest,least_loaded");
  arguments.insert(arguments.end(), {"--json", "--out", "results"});
  const json report = json_of(arguments);
  ASSERT_EQ(report["placements"].size(), 4U);
  EXPECT_EQ(report["placements"][1]["replica_choice"], "even");
  EXPECT_EQ(report["placements"][1]["hindsight"], false);
  const json& hindsight = report["placements"][3];
  EXPECT_EQ(hindsight["hindsight"], true);
  EXPECT_EQ(hindsight["verdict"]["verdict"], "skip");
  EXPECT_THAT(
      hindsight["verdict"]["text"].get<std::string>(),
      ContainsRegex("^hindsight: skip: made from the steps it is judged on, so no placement "
                    "to use; it saves [0-9.]+ % of a step: what knowing them would give$"));
  EXPECT_LE(hindsight["bound_layer_s"], hindsight["layer_s"]["mean"]);
  const json& gap = report["placements"][2]["gap"];
  EXPECT_NEAR(gap["ratio"].get<double>(),
              gap["unknown_before_ratio"].get<double>() + gap["open_ratio"].get<double>(),
              1e-12);
  EXPECT_GE(gap["open_ratio"], 0.0);
  EXPECT_THAT(read("results/optimised.sglang.json"), StartsWith("{"));
  EXPECT_FALSE(std::filesystem::exists(folder() / "results/hindsight.sglang.json"));
  // One choice leaves none: what is judged is what was searched.
  const Outcome text = moesim(with("nearest"));
  EXPECT_THAT(text.out, HasSubstr("\nleft to gain:\noptimised: "));
  EXPECT_THAT(
      text.out,
      HasSubstr("\noptimised: with placement.replica_choice = \"nearest\" (the scenario has "
                "\"even\")\n"));
}

TEST_F(Place, ExplainShowsWhatAMapChanges) {
  ASSERT_EQ(moesim(place({"--placements", "eplb", "--no-bounds", "--out", "results"})).code, 0);
  const std::string map = "results/eplb.sglang.json";
  const Outcome explained = moesim({"explain", "scenario.toml", "--layer", "1", "--map", map});
  ASSERT_EQ(explained.code, 0) << explained.err;
  const std::string own = moesim({"explain", "scenario.toml", "--layer", "1"}).out;
  EXPECT_THAT(explained.out, StartsWith(own));
  EXPECT_THAT(explained.out, HasSubstr("\nbefore and with eplb.sglang.json, each layer in its "));
  EXPECT_THAT(explained.out, HasSubstr("\nlayer 1 with eplb.sglang.json\n  experts:"));
  EXPECT_THAT(explained.out, testing::Not(HasSubstr("layer 0 with")));
  const json both = json_of({"explain", "scenario.toml", "--json", "--map", map});
  const json as_file = json_of({"run",
                                "scenario.toml",
                                "--json",
                                "--set",
                                "placement.kind=file",
                                "--set",
                                "placement.file=" + map});
  EXPECT_EQ(both["before"]["steps"], json_of({"run", "scenario.toml", "--json"})["steps"]);
  EXPECT_EQ(both["after"]["steps"], as_file["steps"]);
  EXPECT_NE(both["after"]["steps"], both["before"]["steps"]);
  const Outcome refused = moesim({"explain", "scenario.toml", "--map", map, "--out", "elsewhere"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("error: --out excludes --map\n"));
}

TEST_F(Place, ALostNodeWithExpertsThatHaveNoReplicaIsRefused) {
  ASSERT_EQ(moesim(place({"--placements", "eplb", "--no-bounds", "--out", "results"})).code, 0);
  const Outcome outcome = moesim({"run",
                                  "scenario.toml",
                                  "--set",
                                  "faults.nodes=[\"node1\"]",
                                  "--set",
                                  "placement.kind=file",
                                  "--set",
                                  "placement.file=results/eplb.sglang.json"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(
      outcome.err,
      testing::MatchesRegex(
          "error: faults.nodes: the lost nodes hold all slots of expert [0-7] of layer 0 "
          "and of [0-9] more; moesim place --survive finds placements that outlive them\n"));
}

TEST_F(Place, EveryRankLostOrALostNodeUnderStudyIsRefused) {
  ASSERT_EQ(
      moesim(place({"--survive", "1", "--placements", "greedy", "--no-bounds", "--out", "results"}))
          .code,
      0);
  const std::vector<std::string> file = {
      "--set", "placement.kind=file", "--set", "placement.file=results/survive.sglang.json"};
  std::vector<std::string> all = {
      "run", "scenario.toml", "--set", "faults.nodes=[\"node0\", \"node1\"]"};
  all.insert(all.end(), file.begin(), file.end());
  const Outcome none_left = moesim(all);
  EXPECT_EQ(none_left.code, 2);
  EXPECT_EQ(none_left.err, "error: faults.nodes: every rank is on a lost node\n");
  std::vector<std::string> study = {"--set", "faults.nodes=[\"node1\"]"};
  study.insert(study.end(), file.begin(), file.end());
  expect_mistake(study,
                 "faults.nodes: placements are compared on whole groups; leave the lost node out "
                 "and use --survive");
}

TEST_F(Place, RefusesWhatCannotBe) {
  expect_mistake(
      {"--placements", "greedy,best"},
      "--placements \"greedy,best\": found \"best\"; expected contiguous, round_robin, "
      "random, greedy, eplb, eplb_global, optimised or hindsight, or several with commas");
  expect_mistake({"--choices", "even,any"},
                 "--choices \"even,any\": found \"any\"; expected even, nearest, least_loaded or "
                 "capacity_limited, or several with commas");
  expect_mistake({"--slots", "10"},
                 "--slots 10: expected a multiple of parallel.ep = 4 from 8 experts on");
  expect_mistake({"--train", "8"}, "--train 8: leaves none of the 8 steps (batch.steps) to judge");
  expect_mistake({"--set", "batch.steps=1"},
                 "batch.steps: 1; placements are made on some steps and judged on later ones: set "
                 "2 or more");
  expect_mistake({"--survive", "1", "--slots", "12"},
                 "--survive 1: every expert needs 2 slots on different nodes, 16 in all; there are "
                 "12: set --slots");
  expect_mistake({"--survive", "2"}, "--survive 2: the ranks lie on 2 node(s); expected 3 or more");
  const Outcome map = moesim(place({"--map", "pack/pack.json"}));
  EXPECT_EQ(map.code, 2);
  EXPECT_EQ(map.err,
            "pack/pack.json: error: physical_to_logical_map: missing; expected [layers][slots] of "
            "expert ids\n");
}

TEST_F(Place, SaysWhyItWritesNoMaps) {
  const Outcome outcome =
      moesim(place({"--placements", "greedy", "--set", "step.layers=1", "--out", "results"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("note: no engine files: they need all MoE layers of the"));
  EXPECT_THAT(entries(), testing::Contains("results"));
}

TEST_F(Place, CtrlCWritesNothing) {
  Program program(folder(),
                  place({"--placements",
                         "greedy,eplb",
                         "--out",
                         "results",
                         "--set",
                         "batch.tokens_per_rank=400000"}));
  ASSERT_TRUE(program.comes_to_catch(SIGINT));
  program.send(SIGINT);
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.code, 130);
  EXPECT_EQ(outcome.err, "interrupted; nothing was written\n");
  EXPECT_THAT(entries(), testing::Not(testing::Contains("results")));
}

TEST_F(Place, CtrlCEndsTheSearchAndKeepsItsBest) {
  Program program(folder(),
                  {"place", "scenario.toml", "--json", "--train", "2", "--moves", "1000000000"});
  ASSERT_TRUE(program.comes_to_use(2)) << "the search, long after the trace was opened";
  program.send(SIGINT);
  const Outcome outcome = program.wait();
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json report = json::parse(outcome.out);
  EXPECT_EQ(report["placements"].size(), 7U);
  EXPECT_THAT(report["notes"],
              testing::Contains(
                  "the search was interrupted: its placements are the best found until then"));
}

TEST_F(Place, OneMapForAllLayersAndNoBoundsWhenAsked) {
  const Outcome outcome = moesim(place(
      {"--placements", "optimised", "--shared-map", "--no-bounds", "--json", "--out", "results"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json report = json::parse(outcome.out);
  EXPECT_EQ(report["placements"][1]["bound_layer_s"], nullptr);
  const json map = json::parse(read("results/optimised.sglang.json"))["physical_to_logical_map"];
  ASSERT_GE(map.size(), 2U);
  EXPECT_EQ(map[map.size() - 1], map[map.size() - 2]);
}

TEST_F(Place, NoBoundsWhereCapacitiesDrop) {
  const json report = json_of(place({"--json", "--set", "capacity.policy=drop"}));
  EXPECT_EQ(report["placements"][6]["bound_layer_s"], nullptr);
}

}  // namespace
}  // namespace moesim::cli_tests
