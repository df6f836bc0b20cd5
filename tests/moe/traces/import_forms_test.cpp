// SPDX-License-Identifier: Apache-2.0
// Counts, counts tables and JSON lines; ids and what all forms share are in import_test.cpp.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "sim/moe/traces/gzip.hpp"
#include "tests/moe/traces/import_fixture.hpp"

namespace moesim::traces {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using ImportForms = Import;

TEST_F(ImportForms, CountsOfThreeAxesAreRecognisedByTheNumberOfExperts) {
  options_.experts = 4;
  options_.top_k = 2;
  write_npy(
      dir_ / "c.npy",
      make_array<std::uint32_t>(NumberType::kU4, {2, 1, 4}, {1, 2, 3, 4, 70'000, 9, 9, 70'000}));
  const ImportReport report = run("c.npy");
  EXPECT_EQ(report.form, "counts");
  EXPECT_EQ(report.steps, 2);
  EXPECT_THAT(step_counts(pack(), 1, 0), ElementsAre(70'000, 9, 9, 70'000));
  EXPECT_EQ(pack().counts->type(), NumberType::kU4);
}

TEST_F(ImportForms, MicrobatchesAreSummedOrTakenAsSteps) {
  options_.experts = 2;
  options_.top_k = 1;
  // [1 step, 2 ranks, 1 layer, 2 microbatches, 2 experts]
  write_npy(dir_ / "c.npy",
            make_array<std::uint8_t>(NumberType::kU1, {1, 2, 1, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(run("c.npy").steps, 1);
  EXPECT_THAT(rank_counts(pack(), 0, 0, 0), ElementsAre(4, 6));
  EXPECT_THAT(rank_counts(pack(), 0, 1, 0), ElementsAre(12, 14));
  options_.microbatches = Microbatches::kSteps;
  options_.overwrite = true;
  EXPECT_EQ(run("c.npy").steps, 2);
  EXPECT_THAT(rank_counts(pack(), 0, 0, 0), ElementsAre(1, 2));
  EXPECT_THAT(rank_counts(pack(), 0, 1, 0), ElementsAre(5, 6));
  EXPECT_THAT(rank_counts(pack(), 1, 0, 0), ElementsAre(3, 4));
  EXPECT_THAT(rank_counts(pack(), 1, 1, 0), ElementsAre(7, 8));
}

TEST_F(ImportForms, WarmupStepsOfCountsCanBeDropped) {
  std::vector<std::uint8_t> counts;
  for (std::uint8_t step = 0; step < 20; ++step) {
    const auto more = static_cast<std::uint8_t>(step < 16 ? 0 : step);
    counts.insert(counts.end(), {static_cast<std::uint8_t>(5 + more), 5});
  }
  write_npy(dir_ / "c.npy", make_array(NumberType::kU1, {20, 1, 2}, counts));
  options_.experts = 2;
  options_.top_k = 1;
  options_.drop_warmup = true;
  const ImportReport report = run("c.npy");
  EXPECT_EQ(report.steps, 4);
  EXPECT_THAT(report.dropped, ElementsAre("16 equal steps at the start"));
  EXPECT_THAT(step_counts(pack(), 0, 0), ElementsAre(21, 5));
}

TEST_F(ImportForms, CountsThatCannotBeAreRefused) {
  options_.experts = 2;
  options_.top_k = 1;
  write_npy(dir_ / "c.npy", make_array<std::int8_t>(NumberType::kI1, {1, 1, 2}, {-3, 5}));
  EXPECT_EQ(refusal("c.npy"), "c.npy: error: count -3; expected 0 to 4294967295");
  write_npy(
      dir_ / "m.npy",
      make_array<std::uint32_t>(NumberType::kU4, {1, 1, 1, 2, 2}, {1, 4294967295, 1, 4294967295}));
  EXPECT_EQ(refusal("m.npy"), "m.npy: error: count 8589934590; expected 0 to 4294967295");
  write_npy(dir_ / "c.npy", make_array<std::uint8_t>(NumberType::kU1, {1, 1, 2}, {0, 0}));
  EXPECT_EQ(refusal("c.npy"),
            "c.npy: error: step 0, source rank 0, layer 0: no assignments; expected at least one");
}

TEST_F(ImportForms, CountsTablesAreFilteredByModelAndDomain) {
  write("t.csv",
        "model,domain,layer,expert,count\n"
        "toy,c4,0,0,5\ntoy,c4,0,1,7\ntoy,c4,7,1,12\ntoy,law,0,0,1\nother,c4,0,0,3\n");
  options_.experts.reset();
  options_.top_k = 1;
  EXPECT_EQ(refusal("t.csv"),
            "t.csv:5:1: error: layer 0, expert 0 a second time; choose one model and one domain "
            "(models: toy; domains: c4, law)");
  options_.domain = "c4";
  const ImportReport report = run("t.csv");
  EXPECT_EQ(report.form, "counts table");
  EXPECT_THAT(step_counts(pack(), 0, 0), ElementsAre(5, 7));
  EXPECT_THAT(step_counts(pack(), 0, 1), ElementsAre(0, 12));
  EXPECT_THAT(report.warnings,
              ElementsAre("1 experts in 1 of 2 layers are never chosen, most in "
                          "layer 1 (1 of 2)"));
  EXPECT_THAT(read_file(dir_ / "p" / "pack.json"), HasSubstr("\"model_layers\": [\n  0,\n  7\n ]"));
}

TEST_F(ImportForms, CountsTablesWithoutWhatIsAskedForAreRefused) {
  write("t.csv", "model,domain,layer,expert,count\ntoy,c4,0,3,5\n");
  options_.top_k = 1;
  options_.domain = "law";
  EXPECT_EQ(refusal("t.csv"),
            "t.csv: error: no rows of model \"toy\" and domain \"law\" (models: toy; domains: c4)");
  options_.domain = "c4";
  options_.experts = 3;
  EXPECT_EQ(refusal("t.csv"), "t.csv: error: expert 3; expected 0 to 2");
  write("t.csv", "layer,expert,count\n0,65534,5\n");
  EXPECT_EQ(refusal("t.csv"), "t.csv:2:1: error: expert: 65534; expected less than 65534");
  options_.top_k.reset();
  EXPECT_EQ(refusal("t.csv"), "t.csv: error: top_k is needed to draw tokens from counts");
}

constexpr const char* kLine0 =
    R"({"provenance": {"expert_count": 8, "model_id": "m", "top_k": 2}, "row_type": "header"})"
    "\n"
    R"({"row_type": "request", "request_id": "r0"})"
    "\n"
    R"({"phase": "prefill", "request_id": "r1", "routing": [{"expert_ids": [1, 2], "gate_weights": [0.5, 0.25], "layer_index": 3}, {"expert_ids": [3, 4], "gate_weights": [0.75, 0], "layer_index": 4}]})"
    "\n"
    R"({"row_type": "kv-event", "token_count": 1})"
    "\n\n";
constexpr const char* kLine1 =
    R"({"phase": "prefill", "request_id": "r0", "routing": [{"expert_ids": [5, 6], "gate_weights": [1, 1], "layer_index": 3}, {"expert_ids": [7, 0], "gate_weights": [1, 1], "layer_index": 4}]})"
    "\n"
    R"({"phase": "decode", "request_id": "r1", "routing": [{"expert_ids": [0, 2], "gate_weights": [1, 1], "layer_index": 3}, {"expert_ids": [3, 1], "gate_weights": [1, 1], "layer_index": 4}]})";

TEST_F(ImportForms, JsonLinesAreGatheredByRequest) {
  write("t.jsonl.gz", gzip(std::string(kLine0) + kLine1));
  options_ = {};
  const ImportReport report = run("t.jsonl.gz");
  EXPECT_EQ(report.form, "JSON lines");
  EXPECT_EQ(report.tokens, 3);
  const RoutePack made = pack();
  EXPECT_EQ(made.header.model, "m");
  EXPECT_EQ(made.header.experts, 8);
  EXPECT_EQ(made.header.first_moe_layer, 3);
  EXPECT_EQ(made.header.phase, "full_sequence");
  ASSERT_EQ(made.sequences.size(), 2U);
  EXPECT_EQ(made.sequences[0].source, "r1");
  EXPECT_EQ(made.sequences[0].rows, 2);
  EXPECT_THAT(layer_ids(*made.topk, 0), ElementsAre(1, 2, 0, 2, 5, 6));
  EXPECT_EQ(number_at<float>(made.weights->data().data(), 2), 0.75F);
}

TEST_F(ImportForms, JsonLinesOfOnePhase) {
  write("t.jsonl", std::string(kLine0) + kLine1);
  options_.model.clear();
  options_.keep_phase = "decode";
  EXPECT_EQ(run("t.jsonl").tokens, 1);
  EXPECT_EQ(pack().header.phase, "decode");
  options_.overwrite = true;
  options_.keep_phase = "training";
  EXPECT_EQ(user_error(dir_, [&] { (void)run("t.jsonl"); }),
            "t.jsonl: error: no rows with routing of the phase that is kept");
}

TEST_F(ImportForms, JsonLinesMistakesArePlaced) {
  const auto text = [&](const std::string& line) {
    write("t.jsonl", std::string(kLine0) + line);
    return refusal("t.jsonl");
  };
  const std::string row = R"({"phase": "decode", "request_id": "r", "routing": )";
  EXPECT_EQ(text("nonsense"), "t.jsonl:6:1: error: not a JSON object");
  EXPECT_EQ(text(R"({"routing": []})"), "t.jsonl:6:1: error: no \"phase\"");
  EXPECT_EQ(text(R"({"routing": [], "phase": 3})"), "t.jsonl:6:1: error: phase: expected a string");
  EXPECT_EQ(text(row + "[]}"),
            "t.jsonl:6:1: error: routing: expected a list with an object for every layer");
  EXPECT_EQ(text(row + "[1]}"), "t.jsonl:6:1: error: routing: 1 layers, the first row had 2");
  EXPECT_EQ(text(row + "[1, 2]}"), "t.jsonl:6:1: error: no \"layer_index\"");
  EXPECT_EQ(text(row + R"([{"layer_index": 4}, {}]})"),
            "t.jsonl:6:1: error: layer_index: 4; expected 3 as in the first row");
  EXPECT_EQ(text(row + R"([{"layer_index": "x"}, {}]})"),
            "t.jsonl:6:1: error: layer_index: expected a whole number up to 1000000");
  EXPECT_EQ(text(row + R"([{"layer_index": 3, "expert_ids": [1]}, {}]})"),
            "t.jsonl:6:1: error: expert_ids: expected a list of 2 experts");
  EXPECT_EQ(text(row + R"([{"layer_index": 3, "expert_ids": [1, 1.5]}, {}]})"),
            "t.jsonl:6:1: error: expert_ids: expected a whole number up to 2147483647");
  EXPECT_EQ(text(row + R"([{"layer_index": 3, "expert_ids": [1, 2]}, {}]})"),
            "t.jsonl:6:1: error: gate_weights: in some layers or rows only");
  EXPECT_EQ(text(row + R"([{"layer_index": 3, "expert_ids": [1, 2], "gate_weights": [1]}, {}]})"),
            "t.jsonl:6:1: error: gate_weights: expected a list of 2 numbers");
  EXPECT_EQ(
      text(row + R"([{"layer_index": 3, "expert_ids": [1, 2], "gate_weights": [1, -1]}, {}]})"),
      "t.jsonl:6:1: error: gate_weights: expected numbers >= 0");
  EXPECT_EQ(text(R"({"provenance": 3})"), "t.jsonl:6:1: error: provenance: expected an object");
}

TEST_F(ImportForms, JsonLinesMustAgreeWithTheOptions) {
  write("t.jsonl", std::string(kLine0) + kLine1);
  options_.experts = 9;
  EXPECT_EQ(refusal("t.jsonl"), "t.jsonl: error: experts is 8 in the file, 9 was given");
  options_.experts = 8;
  options_.top_k = 3;
  EXPECT_EQ(refusal("t.jsonl"), "t.jsonl: error: top_k is 2 in the file, 3 was given");
  options_ = {};
  write("t.jsonl", kLine1);
  EXPECT_EQ(refusal("t.jsonl"), "t.jsonl: error: experts is needed as the file does not say it");
}

}  // namespace
}  // namespace moesim::traces
