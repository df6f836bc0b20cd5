// SPDX-License-Identifier: Apache-2.0
// Lines of the raw file, and the file itself: bytes, escapes, torn ends.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "gpu_ref/measure/mistake.hpp"
#include "gpu_ref/measure/raw_file.hpp"
#include "tests/gpu_ref/measure/synthetic.hpp"

namespace moesim::measure {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::SizeIs;

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

class RawFiles : public testing::Test {
 protected:
  RawFiles() { std::filesystem::create_directories(folder_); }
  ~RawFiles() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  void write(const std::string& text) const { std::ofstream(file_, std::ios::binary) << text; }
  std::string refusal() const {
    try {
      (void)read_raw(file_);
    } catch (const KitMistake& mistake) {
      return mistake.what();
    }
    return "";
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("moesim_raw_" + std::to_string(::getpid()));
  std::string file_ = (folder_ / "deep" / ".." / "raw.jsonl").lexically_normal().string();
};

TEST(RawLines, AreByteForByteThoseOfTheSyntheticFile) {
  std::string lines;
  for (const std::string& line : synthetic_lines()) {
    lines += line + "\n";
  }
  EXPECT_EQ(lines,
            text_of(std::filesystem::path(MOESIM_SOURCE_DIR) /
                    "tests/gpu_ref/measure/synthetic_raw.jsonl"));
}

TEST(RawLines, AreJsonWithTheFieldsOfTheSchema) {
  for (const std::string& line : synthetic_lines()) {
    const json record = json::parse(line);
    EXPECT_EQ(record["format"], "moesim-raw");
    EXPECT_EQ(record["schema"], 1);
    for (const char* field : {"kind", "case", "input", "l2", "work", "extra", "device", "moesim"}) {
      EXPECT_TRUE(record.contains(field)) << field << " in " << line;
    }
    EXPECT_EQ(record.contains("time"), record["kind"] != "device" && !record.contains("skipped"));
  }
  const json grouped = json::parse(synthetic_lines()[5]);
  EXPECT_EQ(grouped["input"]["counts"], json({700, 150, 100, 74}));
  EXPECT_EQ(grouped["input"]["rows"], 1024);
  EXPECT_EQ(grouped["time"]["median_s"], 5e-5);
}

TEST(JsonLines, EscapeWhatJsonForbidsAndReadItBack) {
  const std::string odd = "a\"b\\c\nd\te\x01 \xc3\xa9";
  const std::string line = JsonLine().add("key", odd).add("n", 0.1).text();
  EXPECT_EQ(json::parse(line)["key"], odd);
  EXPECT_EQ(json::parse(line)["n"], 0.1);
  EXPECT_EQ(outer_fields(line)->at("key"), odd);
  EXPECT_EQ(JsonLine().add("k", "\xff\xc3").text(), R"({"k":"??"})");
  EXPECT_EQ(JsonLine().add("k", std::nan("")).text(), R"({"k":null})");
  EXPECT_EQ(JsonLine().add("k", std::numeric_limits<double>::infinity()).text(), R"({"k":null})");
}

TEST(JsonLines, NestedValuesKeepTheirText) {
  const auto fields = outer_fields(R"({"a":{"b":[1,{"c":"}"}]},"d":-1.5e3,"e":null})");
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->at("a"), R"({"b":[1,{"c":"}"}]})");
  EXPECT_EQ(fields->at("d"), "-1.5e3");
}

TEST(JsonLines, WhatIsNoObjectIsRefused) {
  for (const char* line : {"",
                           "{",
                           "[1]",
                           "{\"a\":1",
                           "{\"a\":1}x",
                           "{\"a\"}",
                           "{\"a\":1,}",
                           "{\"a\":\"b}",
                           "{a:1}",
                           "{\"a\":1,\"a\":2}",
                           "{\"a\":{}"}) {
    EXPECT_FALSE(outer_fields(line)) << line;
  }
}

TEST_F(RawFiles, HoldWhatWasAppendedAndSayWhichCasesAndGpus) {
  {
    RawFile file(file_, 0);
    for (const std::string& line : synthetic_lines()) {
      file.append(line);
    }
  }
  const RawContents contents = read_raw(file_);
  EXPECT_THAT(contents.cases, SizeIs(synthetic_lines().size()));
  EXPECT_THAT(contents.gpus, ElementsAre("Synthetic GPU (not a device)"));
  EXPECT_EQ(contents.torn_bytes, 0U);
}

TEST_F(RawFiles, ATornLastLineIsCutOffBeforeTheNextOne) {
  const std::vector<std::string> lines = synthetic_lines();
  write(lines[0] + "\n" + lines[1].substr(0, 40));
  const RawContents contents = read_raw(file_);
  EXPECT_THAT(contents.cases, SizeIs(1));
  EXPECT_EQ(contents.torn_bytes, 40U);
  RawFile(file_, contents.torn_bytes).append(lines[2]);
  EXPECT_EQ(text_of(file_), lines[0] + "\n" + lines[2] + "\n");
}

TEST_F(RawFiles, AFileThatDoesNotExistIsEmpty) {
  EXPECT_THAT(read_raw(file_).cases, SizeIs(0));
}

TEST_F(RawFiles, OtherTextIsRefusedWithItsLine) {
  const std::string words = ": not a line of schema 1 of moesim-raw";
  write(synthetic_lines()[0] + "\n{\"format\":\"other\"}\n");
  EXPECT_EQ(refusal(), file_ + ":2" + words);
  write("precious notes\n");
  EXPECT_EQ(refusal(), file_ + ":1" + words);
  write("{\"format\":\"moesim-raw\",\"schema\":2}\n");
  EXPECT_EQ(refusal(), file_ + ":1" + words);
  EXPECT_EQ(text_of(file_), "{\"format\":\"moesim-raw\",\"schema\":2}\n");
}

TEST_F(RawFiles, AFolderThatCannotBeWrittenIsNamed) {
  write("");
  EXPECT_THROW(
      {
        try {
          RawFile(file_ + "/x.jsonl", 0);
        } catch (const std::runtime_error& error) {
          EXPECT_EQ(error.what(), "cannot open " + file_ + "/x.jsonl: Not a directory");
          throw;
        }
      },
      std::runtime_error);
}

}  // namespace
}  // namespace moesim::measure
