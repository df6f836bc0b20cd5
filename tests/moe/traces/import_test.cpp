// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/import.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include "tests/moe/traces/import_fixture.hpp"

namespace moesim::traces {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

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
              ElementsAre("1 duplicate sequence",
                          "1 sequence with repetition",
                          "6 rows outside the sequences that stay"));
  const RoutePack made = pack();
  EXPECT_THAT(made.domains(), ElementsAre("a", "d"));
  // Tokens 0, 1, 8, 9.
  EXPECT_THAT(layer_ids(*made.topk, 0), ElementsAre(0, 1, 1, 2, 0, 1, 1, 2));
  EXPECT_EQ(number_at<float>(made.weights->data().data(), 8), 0.5F + 8.0F / 64.0F);
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
  std::vector<std::int16_t> ids(80);
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
  ids[82] = ids[83] = 0;  // row 20 is token 3 after the warm-up
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
            "p: error: already there; choose another folder or allow overwriting (--overwrite)");
  options_.overwrite = true;
  EXPECT_EQ(run("ids.npy").tokens, 10);
}

}  // namespace
}  // namespace moesim::traces
