// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/import.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/moe/traces/gzip.hpp"
#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Import : public testing::Test {
 protected:
  Import() {
    options_.model = "toy";
    options_.experts = 8;
    // Tokens 0..9 visit t % 8 and (t + 1) % 8, then t % 8 and (t + 3) % 8.
    write_npy(dir_ / "ids.npy", *small_pack("", false).topk);
  }
  ImportReport run(const char* input) { return import_trace(dir_ / input, dir_ / "p", options_); }
  [[nodiscard]] std::string refusal(const char* input) {
    const std::string text = user_error(dir_, [&] { (void)run(input); });
    EXPECT_FALSE(std::filesystem::exists(dir_ / "p"));
    return text;
  }
  void write(const char* name, const std::string& text) {
    write_file_atomically(dir_ / name, text);
  }
  [[nodiscard]] RoutePack pack() const { return read_pack(dir_ / "p"); }

  ScratchDir dir_;
  ImportOptions options_;
};

TEST_F(Import, IdsWithoutAnIndexAreOneSequence) {
  options_.domain = "chat";
  options_.phase = "decode";
  options_.seed = 4;
  const ImportReport report = run("ids.npy");
  EXPECT_EQ(report.form, "ids");
  EXPECT_EQ(report.tokens, 10);
  EXPECT_THAT(report.warnings, IsEmpty());
  const RoutePack made = pack();
  EXPECT_EQ(made.header.top_k, 2);
  EXPECT_EQ(made.header.layers, 2);
  EXPECT_EQ(made.header.phase, "decode");
  EXPECT_EQ(made.header.seed, 4U);
  ASSERT_EQ(made.sequences.size(), 1U);
  EXPECT_EQ(made.sequences[0].domain, "chat");
  EXPECT_EQ(made.sequences[0].source, "ids.npy");
  EXPECT_EQ(layer_ids(*made.topk, 1), layer_ids(*small_pack("", false).topk, 1));
  EXPECT_THAT(read_file(dir_ / "p" / "pack.json"), HasSubstr("\"imported_from\": \"ids.npy\""));
}

TEST_F(Import, WideIdsBecomeNarrowOnes) {
  write_npy(dir_ / "w.npy", make_array<std::int64_t>(NumberType::kI8, {1, 1, 3}, {7, 0, 2}));
  run("w.npy");
  EXPECT_EQ(pack().topk->type(), NumberType::kU1);
  EXPECT_THAT(layer_ids(*pack().topk, 0), ElementsAre(7, 0, 2));
  write_npy(dir_ / "w.npy", make_array<std::int64_t>(NumberType::kI8, {1, 1, 2}, {299, 0}));
  options_.experts = 300;
  options_.overwrite = true;
  run("w.npy");
  EXPECT_EQ(pack().topk->type(), NumberType::kU2);
  EXPECT_THAT(layer_ids(*pack().topk, 0), ElementsAre(299, 0));
}

TEST_F(Import, IndexColumnsAreFoundByName) {
  options_.index = dir_ / "index.csv";
  write("index.csv", "source_path,rows,row_start,seq,task\nx,4,0,0,law\ny,6,4,1,math\n");
  run("ids.npy");
  const RoutePack made = pack();
  ASSERT_EQ(made.sequences.size(), 2U);
  EXPECT_EQ(made.sequences[1].domain, "math");
  EXPECT_EQ(made.sequences[1].source, "y");
  EXPECT_EQ(made.sequences[1].row_start, 4);
}

TEST_F(Import, DuplicatesLoopsAndRowsWithoutASequenceCanBeLeftOut) {
  options_.index = dir_ / "index.csv";
  options_.drop_duplicates = true;
  options_.drop_repetition = true;
  const NpyArray weights = *small_pack("", true).weights;
  write_npy(dir_ / "weights.npy", weights);
  options_.weights = dir_ / "weights.npy";
  write("index.csv",
        "row_start,rows,domain,has_repetition,duplicate_of\n"
        "0,2,a,0,\n2,2,b,1,\n4,3,c,False,0\n8,2,d,false,\n");
  const ImportReport report = run("ids.npy");
  EXPECT_THAT(report.dropped,
              ElementsAre("1 duplicate sequences",
                          "1 sequences with repetition",
                          "6 rows outside the sequences that stay"));
  const RoutePack made = pack();
  EXPECT_THAT(made.domains(), ElementsAre("a", "d"));
  // Tokens 0, 1, 8, 9.
  EXPECT_THAT(layer_ids(*made.topk, 0), ElementsAre(0, 1, 1, 2, 0, 1, 1, 2));
  EXPECT_EQ(number_at<float>(made.weights->data().data(), 2 * 4), 0.5F + 8.0F / 64.0F);
}

TEST_F(Import, IndexMistakesArePlaced) {
  options_.index = dir_ / "index.csv";
  write("index.csv", "row_start,rows\n0,4\n3,2\n");
  EXPECT_EQ(refusal("ids.npy"),
            "index.csv:3:1: error: rows 3 to 5; expected one row or more, from row 4 on, of the 10 "
            "in the array");
  write("index.csv", "row_start,rows\n0,11\n");
  EXPECT_EQ(refusal("ids.npy"),
            "index.csv:2:1: error: rows 0 to 11; expected one row or more, from row 0 on, of the "
            "10 in the array");
  options_.drop_repetition = true;
  EXPECT_EQ(refusal("ids.npy"),
            "index.csv: error: no column \"has_repetition\"; found: row_start, rows");
  write("index.csv", "row_start,rows,has_repetition\n0,10,maybe\n");
  EXPECT_EQ(refusal("ids.npy"), "index.csv:2:1: error: has_repetition: \"maybe\"; expected 0 or 1");
  write("index.csv", "row_start,rows,has_repetition\n0,10,1\n");
  EXPECT_EQ(refusal("ids.npy"),
            "ids.npy: error: nothing is left of it after dropping what the options say");
}

TEST_F(Import, WhatTheFileCannotSayIsAskedFor) {
  options_.experts.reset();
  EXPECT_EQ(refusal("ids.npy"),
            "ids.npy: error: experts is needed to tell expert ids from counts and to check ids");
  options_.kind = ArrayKind::kIds;
  EXPECT_EQ(refusal("ids.npy"), "ids.npy: error: experts is needed to check the expert ids");
  options_.kind = ArrayKind::kCounts;
  EXPECT_EQ(refusal("ids.npy"), "ids.npy: error: top_k is needed to draw tokens from counts");
  options_ = {};
  options_.experts = 8;
  options_.top_k = 3;
  EXPECT_EQ(refusal("ids.npy"), "ids.npy: error: top_k is 2 in the file, 3 was given");
}

TEST_F(Import, ExpertNumbersOutsideThePackFormAreRefused) {
  options_.experts = 70'000;
  EXPECT_EQ(refusal("ids.npy"), "ids.npy: error: experts is 70000; expected 1 to 65534");
  options_.experts = 8;
  options_.kind = ArrayKind::kCounts;
  options_.top_k = 3;
  write_npy(dir_ / "c.npy", make_array<std::uint8_t>(NumberType::kU1, {1, 1, 2}, {1, 1}));
  options_.experts = 2;
  EXPECT_EQ(refusal("c.npy"), "c.npy: error: top_k is 3; expected 1 to 2, the number of experts");
}

TEST_F(Import, FilesOfNoKnownFormAreRefused) {
  write("x.txt", "hello");
  EXPECT_EQ(refusal("x.txt"),
            "x.txt: error: no known form of routing dump; expected .npy, JSON lines, or CSV with "
            "the columns domain, layer, expert and count (each also .gz)");
  write("x.txt", "");
  EXPECT_THAT(refusal("x.txt"), HasSubstr("no known form"));
  write_npy(dir_ / "f.npy", make_array<float>(NumberType::kF4, {1, 1, 1}, {1}));
  EXPECT_EQ(refusal("f.npy"),
            "f.npy: error: numbers are <f4; expected whole expert ids or counts (means of loads "
            "cannot be replayed)");
  write_npy(dir_ / "f.npy", make_array<std::uint8_t>(NumberType::kU1, {2}, {1, 2}));
  EXPECT_EQ(
      refusal("f.npy"),
      "f.npy: error: shape (2,); expected [token, layer, slot], [step, layer, expert], [step, "
      "source rank, layer, expert] or [step, source rank, layer, microbatch, expert], none "
      "of them 0");
  EXPECT_EQ(error_text<EnvironmentError>(dir_, [&] { (void)run("none.npy"); }),
            "cannot read none.npy: No such file or directory");
}

TEST_F(Import, WeightsMustFit) {
  options_.weights = dir_ / "weights.npy";
  write_npy(dir_ / "weights.npy", make_array<float>(NumberType::kF4, {1, 2, 2}, {1, 1, 1, 1}));
  EXPECT_EQ(refusal("ids.npy"),
            "weights.npy: error: shape (1, 2, 2); expected (10, 2, 2), the shape of the ids");
  write_npy(dir_ / "weights.npy", make_array<std::uint8_t>(NumberType::kU1, {1}, {1}));
  EXPECT_EQ(refusal("ids.npy"), "weights.npy: error: numbers are |u1; expected <f2 or <f4");
  write_npy(dir_ / "weights.npy",
            make_array(NumberType::kF4, {10, 2, 2}, std::vector<float>(40, -1.0F)));
  EXPECT_EQ(refusal("ids.npy"),
            "weights.npy: error: token 0, layer 0, slot 0: gate weight -1; expected a finite "
            "number >= 0");
}

TEST_F(Import, EverythingThatIsWrongIsReportedAtOnce) {
  std::vector<std::int16_t> ids(20 * 4);
  for (std::size_t i = 0; i < ids.size(); i += 4) {
    ids[i] = ids[i + 2] = 9;
    ids[i + 1] = ids[i + 3] = 1;
  }
  write_npy(dir_ / "bad.npy", make_array(NumberType::kI2, {20, 2, 2}, ids));
  EXPECT_EQ(
      refusal("bad.npy"),
      "bad.npy: error: 40 expert ids outside 0 to 7, first 9 at token 0, layer 0, slot 0; ids up "
      "to 9 look like physical ids, map them to logical ones first\n"
      "bad.npy: error: the first 20 rows are equal, as warm-up passes leave them; drop warm-up to "
      "leave them out\n"
      "bad.npy: error: layers that are copies of earlier ones: 1 of 0; keep equal layers to take "
      "them as they are");
}

TEST_F(Import, WarmupPaddingAndDenseLayersCanBeDropped) {
  // 17 equal rows, then 10 tokens of which token 3 is padding; layer 0 is dense (-1).
  std::vector<std::int16_t> ids;
  for (int i = 0; i < 17; ++i) {
    ids.insert(ids.end(), {-1, -1, 6, 7});
  }
  for (std::int16_t t = 0; t < 10; ++t) {
    const auto next = static_cast<std::int16_t>((t + 1) % 8);
    ids.insert(ids.end(), {-1, -1, static_cast<std::int16_t>(t % 8), next});
  }
  ids[(17 + 3) * 4 + 2] = ids[(17 + 3) * 4 + 3] = 0;
  write_npy(dir_ / "dump.npy", make_array(NumberType::kI2, {27, 2, 2}, ids));
  options_.drop_warmup = options_.drop_padding = true;
  options_.first_moe_layer = 1;
  const ImportReport report = run("dump.npy");
  EXPECT_EQ(report.tokens, 9);
  EXPECT_THAT(report.dropped,
              ElementsAre("17 equal rows at the start", "1 layers and 1 tokens of padding"));
  EXPECT_EQ(pack().header.layers, 1);
  EXPECT_EQ(pack().header.first_moe_layer, 2);
  EXPECT_THAT(layer_ids(*pack().topk, 0),
              ElementsAre(0, 1, 1, 2, 2, 3, 4, 5, 5, 6, 6, 7, 7, 0, 0, 1, 1, 2));
  EXPECT_EQ(pack().sequences[0].rows, 9);
}

TEST_F(Import, EqualLayersCanBeTakenAsTheyAre) {
  write_npy(dir_ / "same.npy", make_array<std::uint8_t>(NumberType::kU1, {2, 2, 1}, {0, 0, 1, 1}));
  options_.experts = 2;
  EXPECT_THAT(refusal("same.npy"), HasSubstr("1 of 0"));
  options_.keep_equal_layers = true;
  EXPECT_THAT(run("same.npy").warnings,
              ElementsAre("layers that are copies of earlier ones: 1 of 0; keep equal layers to "
                          "take them as they are"));
}

TEST_F(Import, ExistingPacksStayUnlessOverwritingIsAllowed) {
  run("ids.npy");
  EXPECT_EQ(user_error(dir_, [&] { (void)run("ids.npy"); }),
            "p: error: already there; choose another folder or allow overwriting");
  options_.overwrite = true;
  EXPECT_EQ(run("ids.npy").tokens, 10);
}

TEST_F(Import, CountsOfThreeAxesAreRecognisedByTheNumberOfExperts) {
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

TEST_F(Import, MicrobatchesAreSummedOrTakenAsSteps) {
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

TEST_F(Import, WarmupStepsOfCountsCanBeDropped) {
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

TEST_F(Import, CountsThatCannotBeAreRefused) {
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

TEST_F(Import, CountsTablesAreFilteredByModelAndDomain) {
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

TEST_F(Import, CountsTablesWithoutWhatIsAskedForAreRefused) {
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

TEST_F(Import, JsonLinesAreGatheredByRequest) {
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

TEST_F(Import, JsonLinesOfOnePhase) {
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

TEST_F(Import, JsonLinesMistakesArePlaced) {
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

TEST_F(Import, JsonLinesMustAgreeWithTheOptions) {
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
