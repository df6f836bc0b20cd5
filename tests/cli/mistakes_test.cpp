// SPDX-License-Identifier: Apache-2.0
// What the program says when the user is wrong: word for word, exit code 2, nothing on standard
// output. An environment that fails is exit code 1.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class Mistakes : public Scene {
 protected:
  /// The program fails with this code, says this and prints no result.
  void expect_failure(int code,
                      const std::vector<std::string>& arguments,
                      const std::string& words) const {
    const Outcome outcome = moesim(arguments);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, words + "\n");
  }
  void expect_mistake(const std::vector<std::string>& arguments, const std::string& words) const {
    expect_failure(2, arguments, words);
  }
  /// Of `run scenario.toml --set OVERRIDE`.
  void expect_refused(const std::string& override_text, const std::string& words) const {
    expect_mistake({"run", "scenario.toml", "--set", override_text},
                   "--set " + override_text + ": error: " + words);
  }
};

TEST_F(Mistakes, AnUnknownKeyIsShownInItsLineWithTheNearestKnownOne) {
  edit_scenario("top_k = 2", "topk = 2");
  expect_mistake({"run", "scenario.toml"},
                 "scenario.toml:3:1: error: model.top_k: missing\n"
                 "     3 | [model]\n"
                 "       | ^ expected an integer from 0 to 65534\n"
                 "scenario.toml:9:1: error: model.topk: unknown key; did you mean \"top_k\"?\n"
                 "     9 | topk = 2\n"
                 "       | ^");
}

TEST_F(Mistakes, AValueWithoutAUnitIsRefused) {
  edit_scenario("latency = \"2 us\"", "latency = 2");
  expect_mistake({"run", "scenario.toml"},
                 "scenario.toml:50:11: error: cluster.nic.latency: 2 is a number without a unit\n"
                 "    50 | latency = 2\n"
                 "       |           ^ expected a time: <number> ps, ns, us, ms or s");
}

TEST_F(Mistakes, OverridesAreReportedUnderTheirOwnWords) {
  expect_refused("model.num_expert=4",
                 "model.num_expert: unknown key; did you mean \"num_experts\"?");
  expect_refused("cluster.nic.latency=2",
                 "cluster.nic.latency: 2 is a number without a unit; expected a time: <number> ps, "
                 "ns, us, ms or s");
  expect_mistake({"run", "scenario.toml", "--set", "batch.steps"},
                 "--set batch.steps: error: expected path.to.key=value");
}

TEST_F(Mistakes, KeysThatContradictEachOtherAreRefused) {
  expect_refused("capacity.factor=2",
                 "capacity.factor: 2 has no effect with capacity.policy = none (default)");
  expect_refused("model.top_k=9",
                 "model.top_k: 9 is more than model.num_experts = 8 (scenario.toml:8)");
}

TEST_F(Mistakes, AnEpThatDoesNotDivideTheExpertsIsRefused) {
  expect_refused("parallel.ep=3",
                 "parallel.ep: 3 does not divide model.num_experts = 8 (scenario.toml:8)");
  expect_refused("parallel.ep=8",
                 "parallel.ep: 8 ranks do not fit 4 GPUs: cluster.nodes = 2 (scenario.toml:31), "
                 "cluster.gpus_per_node = 2 (scenario.toml:32)");
}

TEST_F(Mistakes, GpusThatNothingConnectsAreRefused) {
  expect_refused("cluster.nic.per_node=0",
                 "cluster.nic.per_node: 0 leaves the scale-up domains of cluster.nodes = 2 "
                 "(scenario.toml:31) unconnected");
}

TEST_F(Mistakes, ATraceOfAnotherModelIsRefusedWithEveryDifference) {
  edit_scenario("layers = 2\nmoe_layers = 2\nnum_experts = 8\ntop_k = 2",
                "layers = 3\nmoe_layers = 3\nnum_experts = 16\ntop_k = 3");
  expect_mistake({"run", "scenario.toml"},
                 "error: routing.trace: \"pack\" has 8 experts a layer; model.num_experts is 16\n"
                 "error: routing.trace: \"pack\" has top_k 2; model.top_k is 3\n"
                 "error: routing.trace: \"pack\" has 2 MoE layers; 3 are to be simulated; set "
                 "step.layers = 2 or less");
}

TEST_F(Mistakes, ATraceThatDoesNotExistIsRefused) {
  expect_refused("routing.trace=tinny",
                 "routing.trace: tinny does not exist; did you mean \"tiny\"? known: tiny");
  expect_refused("routing.trace=./nowhere",
                 "routing.trace: nowhere does not exist; expected the folder of a route pack");
}

TEST_F(Mistakes, ATruncatedTraceIsRefused) {
  const std::string whole = read("pack/topk.npy");
  write("pack/topk.npy", std::string_view(whole).substr(0, whole.size() - 1));
  expect_mistake({"run", "scenario.toml"},
                 "pack/topk.npy: error: truncated: shape (512, 2, 2) of |u1 needs 2048 bytes of "
                 "data, found 2047");
}

TEST_F(Mistakes, ArraysThatWouldBeMisreadAreRefused) {
  const auto expect_array = [&](const std::string& bytes, const std::string& words) {
    write("pack/topk.npy", bytes);
    expect_mistake({"run", "scenario.toml"}, "pack/topk.npy: error: " + words);
    write("dump.npy", bytes);
    expect_mistake({"trace", "import", "dump.npy", "new", "--experts", "8"},
                   "dump.npy: error: " + words);
  };
  expect_array(npy("|O", "False", "4, 2, 2", std::string(16, '\0')),
               "pickled Python objects are never read; save the array with a number type");
  expect_array(npy(">i4", "False", "4, 2, 2", std::string(64, '\0')),
               "big-endian numbers (\">i4\") are not read; save the array as little-endian");
  expect_array(npy("|u1", "True", "4, 2, 2", std::string(16, '\0')),
               "Fortran order is not read; save numpy.ascontiguousarray of it");
}

TEST_F(Mistakes, CommandsAndOptionsThatDoNotExistAreNamed) {
  expect_mistake({"frobnicate"},
                 "error: unknown command \"frobnicate\"; known: run, explain, calibrate, validate, "
                 "capacity, compare, place, plan, sweep, results, check, memory, trace, topology, "
                 "network-bench, measure, completion or man");
  expect_mistake({"trace", "imprt"},
                 "error: unknown command \"imprt\"; did you mean \"import\"? known: info, import, "
                 "fit, generate or learn");
  const std::string more = "\nRun with --help for more information.";
  expect_mistake({}, "error: A subcommand is required" + more);
  expect_mistake({"run"}, "error: scenario is required" + more);
  expect_mistake({"run", "scenario.toml", "--bogus"},
                 "error: The following argument was not expected: --bogus" + more);
  expect_mistake({"run", "scenario.toml", "--threads", "-1"},
                 "error: --threads: Value -1 not in range 0 to 4096" + more);
}

TEST_F(Mistakes, ALayerOutOfRangeIsRefused) {
  expect_mistake({"explain", "scenario.toml", "--layer", "2"},
                 "error: --layer 2: the scenario has MoE layers 0 to 1");
  expect_mistake({"explain", "scenario.toml", "--layer", "-1"},
                 "error: --layer: Value -1 not in range 0 to 99999\n"
                 "Run with --help for more information.");
}

TEST_F(Mistakes, AFolderWithOtherFilesIsNeverOverwritten) {
  write("mine/letter.txt", "dear");
  expect_mistake({"run", "scenario.toml", "--out", "mine"},
                 "error: --out mine: exists and is not a result folder; name another folder");
  EXPECT_EQ(read("mine/letter.txt"), "dear");
  expect_mistake({"run", "scenario.toml", "--out", "scenario.toml"},
                 "error: --out scenario.toml: exists and is not a result folder; name another "
                 "folder");
}

TEST_F(Mistakes, GpusThatDoNotFillNodesAreRefused) {
  expect_mistake({"network-bench", "--gpus", "12"},
                 "error: --gpus 12: must be a multiple of 8 on rail");
}

TEST_F(Mistakes, AnExistingPackIsNotReplacedUnasked) {
  expect_mistake(
      {"trace", "import", "pack/topk.npy", "pack", "--experts", "8"},
      "pack: error: already there; choose another folder or allow overwriting (--overwrite)");
}

TEST_F(Mistakes, FilesThatCannotBeReadAreTheEnvironmentsFault) {
  expect_failure(
      1, {"run", "missing.toml"}, "error: cannot read missing.toml: No such file or directory");
  expect_failure(1,
                 {"trace", "info", "nowhere"},
                 "error: cannot read nowhere/pack.json: No such file or directory");
  expect_failure(1,
                 {"trace", "import", "nothing.npy", "p"},
                 "error: cannot read nothing.npy: No such file or directory");
}

TEST_F(Mistakes, AnOutputThatCannotBeMadeIsTheEnvironmentsFault) {
  const Outcome outcome = moesim({"run", "scenario.toml", "--out", "scenario.toml/results"});
  EXPECT_EQ(outcome.code, 1) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("error: cannot create folder "));
  EXPECT_THAT(outcome.err, EndsWith("Not a directory\n"));
}

TEST_F(Mistakes, FailedRunsLeaveNothingBehind) {
  const std::vector<std::string> before = entries();
  (void)moesim({"run", "scenario.toml", "--set", "parallel.ep=3", "--out", "results"});
  (void)moesim({"explain", "scenario.toml", "--layer", "7", "--out", "results"});
  EXPECT_EQ(entries(), before);
}

}  // namespace
}  // namespace moesim::cli_tests
