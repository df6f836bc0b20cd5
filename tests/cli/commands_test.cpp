// SPDX-License-Identifier: Apache-2.0
// The other commands: help, traces, fabrics, the network benchmark.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

class Commands : public Scene {};

int occurrences(const std::string& text, std::string_view passage) {
  int count = 0;
  for (std::size_t at = text.find(passage); at != std::string::npos;
       at = text.find(passage, at + 1)) {
    ++count;
  }
  return count;
}

TEST_F(Commands, EveryOneHasHelpWithAnExample) {
  const std::vector<std::vector<std::string>> commands = {{"run"},
                                                          {"explain"},
                                                          {"check"},
                                                          {"trace", "info"},
                                                          {"trace", "import"},
                                                          {"trace", "fit"},
                                                          {"trace", "generate"},
                                                          {"trace", "learn"},
                                                          {"topology"},
                                                          {"network-bench"},
                                                          {"calibrate"},
                                                          {"validate"}};
  for (std::vector<std::string> words : commands) {
    std::string example = "Example: moesim";
    for (const std::string& word : words) {
      example += " " + word;
    }
    words.emplace_back("--help");
    const Outcome help = moesim(words);
    EXPECT_EQ(help.code, 0) << example;
    EXPECT_EQ(help.err, "");
    EXPECT_THAT(help.out, HasSubstr(example));
  }
}

TEST_F(Commands, TheProgramsHelpNamesThemAndTheExitCodes) {
  const Outcome help = moesim({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command :
       {"run", "explain", "check", "trace", "topology", "network-bench", "calibrate", "validate"}) {
    EXPECT_THAT(help.out, HasSubstr(std::string("\n  ") + command + " "));
  }
  EXPECT_THAT(help.out,
              HasSubstr("Exit codes: 0 done, 1 environment, 2 user's mistake, 70 our bug, 130\n"
                        "interrupted."));
}

TEST_F(Commands, TheVersionNamesTheOptionalParts) {
  const Outcome version = moesim({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.out, StartsWith("moesim 0."));
  EXPECT_THAT(version.out, HasSubstr("\nsimgrid engine: "));
}

TEST_F(Commands, TraceInfoDescribesAPack) {
  const Outcome text = moesim({"trace", "info", "pack"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out,
              StartsWith("pack: toy, 2 MoE layers x 8 experts, top-2, prefill\n"
                         "512 tokens in 8 sequences, gate weights: no\n"
                         "domains: code prose\n"
                         "licence: none\n"
                         "sha256: "));
  const json info = json_of({"trace", "info", "pack", "--json", "--out", "facts"});
  EXPECT_EQ(info["format"], "moesim-trace-info");
  EXPECT_EQ(info["tokens"], 512);
  EXPECT_EQ(info["sequences"], 8);
  EXPECT_EQ(info["domains"], json({"code", "prose"}));
  EXPECT_EQ(json::parse(read("facts/info.json")), info);
  EXPECT_THAT(read("facts/expert_load.csv"), StartsWith("layer,expert,assignments\n0,0,"));
}

TEST_F(Commands, TraceInfoFitsATerminal) {
  std::filesystem::create_directory_symlink(
      std::filesystem::path(MOESIM_SOURCE_DIR) / "scenarios/traces/tinymoe-unbalanced",
      folder() / "tiny");
  const std::string text = moesim({"trace", "info", "tiny"}).out;
  EXPECT_EQ(lines_over_80(text), "");
  EXPECT_THAT(text, HasSubstr("\n   1 |+- =*@ "));  // a place for each of the 64 experts
  EXPECT_THAT(text,
              HasSubstr("\nhottest experts of each layer, in loads of the mean\n"
                        "   0  56 4.5x, 10 4.1x, 50 3.7x, 55 3.6x, 62 3.3x\n"
                        "   1  5 7.4x, 61 6.9x, 34 6.0x, 4 3.0x, 49 2.9x\n"));
}

TEST_F(Commands, TraceImportMakesAPackThatTheScenarioCanReplay) {
  write("index.csv", read("pack/sequences.csv"));
  const Outcome imported = moesim({"trace",
                                   "import",
                                   "pack/topk.npy",
                                   "made",
                                   "--experts",
                                   "8",
                                   "--index",
                                   "index.csv",
                                   "--model",
                                   "toy",
                                   "--phase",
                                   "prefill",
                                   "--json"});
  ASSERT_EQ(imported.code, 0) << imported.err;
  EXPECT_THAT(imported.err, HasSubstr("read as ids: pack/topk.npy\ninput sha256: "));
  const json info = json::parse(imported.out);
  EXPECT_EQ(info["tokens"], 512);
  EXPECT_EQ(info["experts"], 8);
  EXPECT_EQ(info["top_k"], 2);
  EXPECT_EQ(info["sequences"], 8);
  EXPECT_THAT(entries(), ElementsAre("data", "index.csv", "made", "pack", "scenario.toml"));
  const json ours = json_of({"run", "scenario.toml", "--json"});
  const json made = json_of({"run", "scenario.toml", "--json", "--set", "routing.trace=./made"});
  EXPECT_EQ(ours["steps"], made["steps"]);
}

TEST_F(Commands, APlainImportSaysWhatNobodyStatedAndReplaysAlike) {
  const std::vector<std::string> import = {
      "trace", "import", "pack/topk.npy", "bare", "--experts", "8"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), import.begin(), import.end());
    return moesim(more);
  };
  const Outcome plain = with({"--plain"});
  ASSERT_EQ(plain.code, 0) << plain.err;
  EXPECT_THAT(plain.out,
              StartsWith("bare: model not stated, 2 MoE layers x 8 experts, top-2, phase not "
                         "stated\n512 tokens in 1 sequence, gate weights: no\nlicence: not "
                         "stated\nsha256: "));
  EXPECT_TRUE(std::filesystem::exists(folder() / "bare/topk.npy"));
  const std::vector<std::string> run = {
      "run", "scenario.toml", "--json", "--set", "routing.trace=./bare"};
  const json mapped = json_of(run);
  ASSERT_EQ(with({"--overwrite", "--first-moe-layer", "1"}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder() / "bare/topk.npy.gz"));
  EXPECT_FALSE(std::filesystem::exists(folder() / "bare/topk.npy"));
  EXPECT_THAT(moesim({"trace", "info", "bare"}).out,
              StartsWith("bare: model not stated, 2 MoE layers (0 is the model's 1) x 8 experts"));
  EXPECT_EQ(json_of(run)["steps"], mapped["steps"]);
}

TEST_F(Commands, TopologyCountsTheFabric) {
  const json topology = json_of({"topology", "scenario.toml", "--json", "--out", "fabric"});
  EXPECT_EQ(topology["format"], "moesim-topology");
  EXPECT_EQ(topology["gpus"], 4);
  EXPECT_EQ(topology["scale_up_domains"], 2);
  EXPECT_EQ(topology["nic_injection_bytes_per_s"], 4 * 50e9);
  EXPECT_EQ(json::parse(read("fabric/topology.json")), topology);
  EXPECT_EQ(read("fabric/topology.dot"),
            moesim({"topology", "scenario.toml", "--format", "graphviz"}).out);
  EXPECT_EQ(read("fabric/topology.graphml"),
            moesim({"topology", "scenario.toml", "--format", "graphml"}).out);
  EXPECT_THAT(moesim({"topology", "scenario.toml"}).out,
              StartsWith("two by two: 4 GPUs in 2 scale-up domain(s) of 2\n"));
}

TEST_F(Commands, TopologyDrawsEveryGpu) {
  const std::string dot = moesim({"topology", "scenario.toml", "--format", "graphviz"}).out;
  EXPECT_THAT(dot, HasSubstr("graph"));
  const std::string graphml = moesim({"topology", "scenario.toml", "--format", "graphml"}).out;
  EXPECT_THAT(graphml, HasSubstr("<graphml"));
  EXPECT_THAT(graphml, EndsWith("</graphml>\n"));
  EXPECT_EQ(occurrences(dot, "kind=gpu,"), 4);
  EXPECT_EQ(occurrences(dot, "label=\"gpu0\""), 2);
  EXPECT_EQ(occurrences(graphml, "<node "), occurrences(dot, ",shape="));
}

// INV-3, INV-6
TEST_F(Commands, NetworkBenchIsNeverBelowItsBoundAndRepeats) {
  const std::vector<std::string> arguments = {"network-bench", "--gpus", "16", "--json"};
  json first = json_of(arguments);
  json second = json_of(arguments);
  EXPECT_EQ(first["format"], "moesim-network-bench");
  EXPECT_GE(first["makespan_s"].get<double>(), first["bound_s"].get<double>() * (1 - 1e-9));
  EXPECT_GT(first["flows"].get<int>(), 0);
  EXPECT_GT(first["events"].get<int>(), 0);
  EXPECT_GE(first["engine_cpu_s"].get<double>(), 0.0);
  EXPECT_GT(first["peak_rss_bytes"].get<std::int64_t>(), 1'000'000);
  for (json* result : {&first, &second}) {
    result->erase("engine_cpu_s");  // the machine's, not the simulation's
    for (const char* key : {"post_cpu_s", "engine_wall_s", "engine_rss_bytes", "peak_rss_bytes"}) {
      result->erase(key);
    }
  }
  EXPECT_EQ(first, second);
  EXPECT_NE(json_of({"network-bench", "--gpus", "16", "--json", "--seed", "2"})["makespan_s"],
            first["makespan_s"]);
}

TEST_F(Commands, NetworkBenchBoundAloneIsTheBound) {
  const json bound = json_of({"network-bench", "--gpus", "8", "--engine", "bound", "--json"});
  EXPECT_EQ(bound["makespan_s"], bound["bound_s"]);
  EXPECT_EQ(bound["events"], 0);
  const json fluid =
      json_of({"network-bench", "--gpus", "8", "--fabric", "star", "--out", "b", "--json"});
  EXPECT_EQ(json::parse(read("b/network-bench.json")), fluid);
}

// Whole messages wait for each other, so they end later than shares do, never before the bound;
// flows that start late end late; the finish of each flow is told.
TEST_F(Commands, NetworkBenchHasMessagesStaggeredStartsAndFinishTimes) {
  const auto bench = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"network-bench", "--gpus", "16", "--json"});
    return json_of(more);
  };
  const json plain = bench({"--finish-times", "finish.csv"});
  const json message = bench({"--engine", "message", "--chunk", "7168"});
  EXPECT_GT(message["makespan_s"], plain["makespan_s"]);
  EXPECT_GT(bench({"--stagger", "0.5", "--latency", "3"})["makespan_s"], plain["makespan_s"]);
  const json near = bench({"--tolerance", "0.01"});
  EXPECT_NEAR(near["window_s"].get<double>(), near["bound_s"].get<double>() * 0.01 / 6, 1e-11);
  EXPECT_LE(near["makespan_s"].get<double>(), plain["makespan_s"].get<double>() * 1.01);
  const std::string times = read("finish.csv");
  EXPECT_TRUE(times.starts_with("source,target,bytes,finish_ps\n"));
  EXPECT_EQ(std::count(times.begin(), times.end(), '\n'), plain["flows"].get<int>() + 1);
}

}  // namespace
}  // namespace moesim::cli_tests
