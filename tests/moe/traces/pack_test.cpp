// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/pack.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include "sim/moe/traces/csv.hpp"
#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

/// A written small pack to spoil.
class PackOnDisk : public testing::Test {
 protected:
  PackOnDisk() { write_pack(small_pack(dir_ / "p", true), "", false); }
  void replace(const char* name, const std::string& content) {
    write_file_atomically(dir_ / "p" / name, content);
  }
  void replace(const char* name, const NpyArray& array) { write_npy(dir_ / "p" / name, array); }
  void remove(const char* name) { std::filesystem::remove(dir_ / "p" / name); }
  [[nodiscard]] std::string refusal() const {
    return user_error(dir_, [&] { (void)read_pack(dir_ / "p"); });
  }
  void header(const std::string& changed) {
    replace("pack.json",
            R"({"format":"moesim-route-pack","version":1,"model":"toy",)" + changed + "}");
  }

  ScratchDir dir_;
};

TEST_F(PackOnDisk, ReadsBackWhatWasWritten) {
  const RoutePack written = small_pack(dir_ / "p", true);
  const RoutePack read = read_pack(dir_ / "p");
  EXPECT_EQ(read.header.model, "toy");
  EXPECT_EQ(read.header.experts, 8);
  EXPECT_EQ(read.header.first_moe_layer, 1);
  EXPECT_EQ(read.header.slot_order, "weight_descending");
  EXPECT_EQ(read.header.phase, "prefill");
  EXPECT_EQ(read.header.source, "a test");
  EXPECT_EQ(read.header.licence, "none");
  EXPECT_EQ(read.header.seed, 7U);
  EXPECT_EQ(read.tokens(), 10);
  ASSERT_EQ(read.sequences.size(), 3U);
  EXPECT_EQ(read.sequences[1].source, "two, \"quoted\"");
  EXPECT_EQ(read.sequences[2].row_start, 5);
  EXPECT_EQ(read.domains(), (std::vector<std::string>{"a", "b"}));
  for (std::size_t layer : {0U, 1U}) {
    EXPECT_EQ(layer_ids(*read.topk, layer), layer_ids(*written.topk, layer));
  }
  EXPECT_TRUE(std::ranges::equal(read.weights->data(), written.weights->data()));
}

TEST_F(PackOnDisk, SameContentGivesTheSameBytes) {
  write_pack(small_pack(dir_ / "q", true), "", false);
  for (const char* name : {"pack.json", "topk.npy.gz", "weights.npy.gz", "sequences.csv"}) {
    EXPECT_EQ(read_file(dir_ / "p" / name), read_file(dir_ / "q" / name)) << name;
  }
}

TEST_F(PackOnDisk, UnknownKeysAreProvenanceAndPass) {
  write_pack(small_pack(dir_ / "q", false), R"({"training_curve": [1, 2]})", false);
  EXPECT_THAT(read_file(dir_ / "q" / "pack.json"), testing::HasSubstr("training_curve"));
  EXPECT_FALSE(read_pack(dir_ / "q").weights.has_value());
}

TEST_F(PackOnDisk, ExistingFoldersAreOverwrittenOnlyOnRequest) {
  EXPECT_EQ(user_error(dir_, [&] { write_pack(small_pack(dir_ / "p", false), "", false); }),
            "p: error: already there; choose another folder or allow overwriting (--overwrite)");
  EXPECT_TRUE(read_pack(dir_ / "p").weights.has_value());
  write_pack(small_pack(dir_ / "p", false), "", true);
  EXPECT_FALSE(read_pack(dir_ / "p").weights.has_value());
  std::filesystem::create_directory(dir_ / "other");
  EXPECT_EQ(user_error(dir_, [&] { write_pack(small_pack(dir_ / "other", false), "", true); }),
            "other: error: not a route pack (no pack.json); it is not overwritten");
}

TEST_F(PackOnDisk, NothingIsLeftBesideThePack) {
  write_pack(small_pack(dir_ / "p", false), "", true);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, testing::ElementsAre("p"));
}

TEST_F(PackOnDisk, AFailedWriteLeavesNothing) {
  write_file_atomically(dir_ / "file", "not a folder");
  EXPECT_EQ(error_text<EnvironmentError>(
                dir_, [&] { write_pack(small_pack(dir_ / "file" / "p", false), "", false); })
                .substr(0, 21),
            "cannot create folder ");
  EXPECT_EQ(read_file(dir_ / "file"), "not a folder");
}

TEST_F(PackOnDisk, MissingFilesAreNamed) {
  const auto text = [&](const char* folder) {
    return error_text<EnvironmentError>(dir_, [&] { (void)read_pack(dir_ / folder); });
  };
  EXPECT_EQ(text("none"), "cannot read none/pack.json: No such file or directory");
  remove("sequences.csv");
  EXPECT_EQ(text("p"), "cannot read p/sequences.csv: No such file or directory");
  remove("topk.npy.gz");
  EXPECT_EQ(refusal(), "p: error: no topk.npy, topk.npy.gz, counts.npy or counts.npy.gz");
}

TEST_F(PackOnDisk, TwoFilesForOneThingAreRefused) {
  replace("topk.npy", *small_pack("", false).topk);
  EXPECT_EQ(refusal(), "p: error: both topk.npy and topk.npy.gz; keep one");
  remove("topk.npy");
  replace("counts.npy", *small_pack("", false).topk);
  EXPECT_EQ(refusal(), "p: error: both topk.npy and counts.npy; keep one");
}

TEST_F(PackOnDisk, AllMistakesOfTheHeaderAreReportedAtOnce) {
  replace("pack.json",
          R"({"format": "zip", "version": 2, "experts": 8.5, "top_k": 0, "layers": "two",
              "first_moe_layer": -1, "slot_order": 3, "seed": -4, "axes": [1],
              "expert_ids": "physical"})");
  EXPECT_EQ(
      refusal(),
      "p/pack.json: error: format: found \"zip\"; expected \"moesim-route-pack\"\n"
      "p/pack.json: error: version: found 2; expected 1\n"
      "p/pack.json: error: model: missing; expected a string\n"
      "p/pack.json: error: experts: found 8.5; expected a whole number from 1 to 65534\n"
      "p/pack.json: error: top_k: found 0; expected a whole number from 1 to 65534\n"
      "p/pack.json: error: layers: found \"two\"; expected a whole number from 1 to 100000\n"
      "p/pack.json: error: first_moe_layer: found -1; expected a whole number from 0 to 100000\n"
      "p/pack.json: error: slot_order: found 3; expected a string\n"
      "p/pack.json: error: seed: found -4; expected a whole number >= 0\n"
      "p/pack.json: error: axes: found [1]; expected a list of strings\n"
      "p/pack.json: error: expert_ids: \"physical\" ids cannot be replayed; map them to logical "
      "ids "
      "first");
  header(R"("experts":4,"top_k":5,"layers":2)");
  EXPECT_EQ(refusal(), "p/pack.json: error: top_k: 5 is more than the 4 experts");
}

TEST_F(PackOnDisk, BrokenJsonIsPlaced) {
  replace("pack.json", "{\n \"format\": oops}");
  EXPECT_EQ(refusal(), "p/pack.json:2:12: error: not valid JSON from here on");
  replace("pack.json", "[]");
  EXPECT_EQ(refusal(), "p/pack.json: error: expected a JSON object");
}

TEST_F(PackOnDisk, IdsMustFitTheHeader) {
  header(R"("experts":8,"top_k":3,"layers":2)");
  EXPECT_EQ(refusal(),
            "p/topk.npy.gz: error: shape (10, 2, 2); expected (tokens, 2, 3) as pack.json says, at "
            "least one token");
  header(R"("experts":7,"top_k":2,"layers":2)");
  EXPECT_EQ(refusal(), "p/topk.npy.gz: error: token 4, layer 1, slot 1: expert 7; expected 0 to 6");
  header(R"("experts":8,"top_k":2,"layers":2)");
  replace("topk.npy.gz",
          make_array<std::uint16_t>(NumberType::kU2, {2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 6}));
  EXPECT_EQ(
      refusal(),
      "p/topk.npy.gz: error: token 1, layer 1: expert 6 twice; a token visits an expert once");
  replace("topk.npy.gz", make_array<std::int32_t>(NumberType::kI4, {1, 2, 2}, {0, 1, -1, 3}));
  EXPECT_EQ(refusal(),
            "p/topk.npy.gz: error: token 0, layer 1, slot 0: expert -1; expected 0 to 7");
  replace("topk.npy.gz", make_array<float>(NumberType::kF4, {1, 2, 2}, {0, 1, 2, 3}));
  EXPECT_EQ(refusal(), "p/topk.npy.gz: error: numbers are <f4; expected one of |u1, <u2, <i4");
}

TEST_F(PackOnDisk, WeightsMustFitTheIds) {
  replace("weights.npy.gz", make_array<float>(NumberType::kF4, {1, 2, 2}, {0, 1, 2, 3}));
  EXPECT_EQ(refusal(),
            "p/weights.npy.gz: error: shape (1, 2, 2); expected (10, 2, 2), the shape of the ids");
  std::vector<std::uint16_t> halves(40, 0x3c00);
  halves[7] = 0x7c00;
  replace("weights.npy.gz", make_array(NumberType::kF2, {10, 2, 2}, halves));
  EXPECT_EQ(refusal(),
            "p/weights.npy.gz: error: token 1, layer 1, slot 1: gate weight inf; expected a finite "
            "number >= 0");
  replace("weights.npy.gz", make_array(NumberType::kU2, {10, 2, 2}, halves));
  EXPECT_EQ(refusal(), "p/weights.npy.gz: error: numbers are <u2; expected one of <f2, <f4");
}

TEST_F(PackOnDisk, SequencesMustCoverTheTokensInOrder) {
  const std::string first = "sequence,row_start,rows,domain,source\n0,0,3,a,x\n";
  replace("sequences.csv", first + "1,4,6,b,y\n");
  EXPECT_EQ(refusal(),
            "p/sequences.csv:3:1: error: row_start: 4; expected 3, where the sequence before ends");
  replace("sequences.csv", first + "1,3,8,b,y\n");
  EXPECT_EQ(refusal(),
            "p/sequences.csv:3:1: error: rows: 8; expected 1 to 7, the rows that are left");
  replace("sequences.csv", first + "1,3,0,b,y\n");
  EXPECT_EQ(refusal(),
            "p/sequences.csv:3:1: error: rows: 0; expected 1 to 7, the rows that are left");
  replace("sequences.csv", first);
  EXPECT_EQ(refusal(), "p/sequences.csv: error: the sequences have 3 rows, the ids have 10");
  replace("sequences.csv", first + "1,three,7,b,y\n");
  EXPECT_EQ(refusal(),
            "p/sequences.csv:3:1: error: row_start: \"three\" is not a whole number from 0 to 2^63 "
            "- 1");
  replace("sequences.csv", first + "1,3,7\n");
  EXPECT_EQ(refusal(), "p/sequences.csv:3:1: error: 3 cells, the header has 5 columns");
  replace("sequences.csv", "sequence,rows,domain,source\n");
  EXPECT_EQ(refusal(),
            "p/sequences.csv: error: no column \"row_start\"; found: sequence, rows, domain, "
            "source");
  replace("sequences.csv", "");
  EXPECT_EQ(refusal(), "p/sequences.csv: error: empty; expected a header line of column names");
  replace("sequences.csv", "a,\"b\n");
  EXPECT_EQ(refusal(), "p/sequences.csv:1:1: error: a quote is never closed");
  for (const char* start : {"", "\""}) {  // plain or quoted, as long as the file
    replace("sequences.csv", std::string(start) + std::string(1'048'577, 'x'));
    EXPECT_EQ(refusal(), "p/sequences.csv:1:1: error: more than 1048576 bytes in a cell");
  }
  replace("sequences.csv", std::string(65'536, ','));
  EXPECT_EQ(refusal(), "p/sequences.csv:1:1: error: more than 65536 cells");
  replace("sequences.csv", "a,\"b\"c\n");
  EXPECT_EQ(refusal(), "p/sequences.csv:1:1: error: text follows a closing quote");
}

/// A counts pack: 2 steps, 1 layer, 4 experts, top_k 2.
class CountsOnDisk : public PackOnDisk {
 protected:
  CountsOnDisk() {
    remove("topk.npy.gz");
    header(R"("experts":4,"top_k":2,"layers":1,"axes":["step","layer","expert"])");
  }
  void counts(const std::vector<std::int64_t>& numbers) {
    replace("counts.npy", make_array(NumberType::kI8, {2, 1, 4}, numbers));
  }
};

TEST_F(CountsOnDisk, ReadsCounts) {
  counts({1, 2, 3, 4, 5, 5, 5, 5});
  const RoutePack pack = read_pack(dir_ / "p");
  EXPECT_FALSE(pack.per_token());
  EXPECT_EQ(pack.steps(), 2);
  EXPECT_EQ(step_counts(pack, 0, 0), (std::vector<std::int64_t>{1, 2, 3, 4}));
}

TEST_F(CountsOnDisk, ReadsCountsOfEverySourceRankAndSumsThem) {
  header(R"("experts":4,"top_k":2,"layers":1,"axes":["step","source_rank","layer","expert"])");
  replace("counts.npy",
          make_array<std::uint16_t>(NumberType::kU2, {1, 2, 1, 4}, {1, 2, 3, 4, 5, 6, 7, 8}));
  const RoutePack pack = read_pack(dir_ / "p");
  EXPECT_EQ(pack.source_ranks(), 2);
  EXPECT_EQ(rank_counts(pack, 0, 1, 0), (std::vector<std::int64_t>{5, 6, 7, 8}));
  EXPECT_EQ(step_counts(pack, 0, 0), (std::vector<std::int64_t>{6, 8, 10, 12}));
}

TEST_F(CountsOnDisk, CountsThatNoTokensCanHaveAreRefused) {
  counts({1, 2, 3, 4, 5, -5, 5, 5});
  EXPECT_EQ(refusal(),
            "p/counts.npy: error: step 1, source rank 0, layer 0, expert 1: count -5; expected 0 "
            "or more, at most 4294967295 a layer");
  counts({1, 2, 3, 4, 5, 5, 5, 4294967290});
  EXPECT_EQ(refusal(),
            "p/counts.npy: error: step 1, source rank 0, layer 0, expert 3: count 4294967290; "
            "expected 0 or more, at most 4294967295 a layer");
  counts({0, 0, 0, 0, 5, 5, 5, 5});
  EXPECT_EQ(refusal(),
            "p/counts.npy: error: step 0, source rank 0, layer 0: no assignments; expected at "
            "least one");
  counts({5, 2, 1, 1, 5, 5, 5, 5});
  EXPECT_EQ(refusal(),
            "p/counts.npy: error: step 0, source rank 0, layer 0: an expert has 5 of 9 "
            "assignments; with top_k 2 it has at most 4");
}

TEST_F(CountsOnDisk, AxesAndShapeMustAgree) {
  replace("counts.npy", make_array<std::uint8_t>(NumberType::kU1, {4, 1}, {1, 1, 1, 1}));
  EXPECT_EQ(refusal(),
            "p/counts.npy: error: shape (4, 1); expected (steps, 1, 4) as pack.json says");
  header(R"("experts":4,"top_k":2,"layers":1,"axes":["step","source_rank","layer","expert"])");
  EXPECT_EQ(refusal(),
            "p/counts.npy: error: shape (4, 1); expected (steps, source ranks, 1, 4) as pack.json "
            "says");
  header(R"("experts":4,"top_k":2,"layers":1)");
  EXPECT_EQ(refusal(),
            "p/pack.json: error: axes: expected [\"step\", \"layer\", \"expert\"] or [\"step\", "
            "\"source_rank\", \"layer\", \"expert\"]");
}

TEST(Csv, ReadsQuotesLineEndsAndBlankLines) {
  const CsvTable table = parse_csv("t.csv",
                                   "\xef\xbb\xbf"
                                   "a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\r\n2,\n3,w");
  EXPECT_EQ(table.columns, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[0][1], "x, \"y\"\nz");
  EXPECT_EQ(table.rows[1][1], "");
  EXPECT_EQ(table.rows[2][1], "w");
  EXPECT_EQ(table.line_of_row, (std::vector<int>{2, 5, 6}));
  EXPECT_EQ(csv_cell("x, \"y\""), "\"x, \"\"y\"\"\"");
}

}  // namespace
}  // namespace moesim::traces
