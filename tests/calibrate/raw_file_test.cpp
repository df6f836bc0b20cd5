// SPDX-License-Identifier: Apache-2.0
// Raw files of the kit: what becomes a point, what is passed over, what is refused.
#include "sim/calibrate/raw_file.hpp"

#include <fmt/core.h>
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "hardware.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::calibrate {
namespace {
using ::testing::ElementsAre;
using testing::ideal_constants;
using testing::small_spec;

/// A line with the fields that a reader needs; `more` starts with a comma or is empty.
std::string line(const std::string& kind, const std::string& input, const std::string& more = "") {
  return fmt::format(
      R"({{"format":"moesim-raw","schema":1,"kind":"{}","case":"{}/{}","l2":"cold","input":{},)"
      R"("time":{{"median_s":5e-05}},"device":{{"name":"NVIDIA T1","driver":"9"}},)"
      R"("moesim":{{"version":"0.1"}}{}}})"
      "\n",
      kind,
      kind,
      std::hash<std::string>{}(input),
      input,
      more);
}

const std::string kGemm =
    R"({"model":"m","projection":"gate_up","pass":"forward","dtype":"bf16","columns":512,)"
    R"("inner":1024,"counts":[128,0,64]})";

Reading read(const std::string& text, ClusterSpec spec = small_spec()) {
  Hardware hardware(std::move(spec));
  Reading reading;
  read_raw_file("raw.jsonl", text, hardware, reading);
  return reading;
}

std::string mistake_of(const std::string& text) {
  try {
    static_cast<void>(read(text));
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

/// As the cost model has it: gate+up of an expert of width 256.
TEST(RawFile, AGroupedGemmIsPredictedFromItsCounts) {
  const Reading reading = read(line("grouped_gemm", kGemm));
  ASSERT_EQ(reading.points.size(), 1U);
  const Point& point = reading.points[0];
  EXPECT_EQ(point.kernel, "cublas_bf16");
  EXPECT_EQ(point.weights, "bf16");
  EXPECT_EQ(point.rows, 192);
  EXPECT_EQ(point.slots, 3);
  EXPECT_EQ(point.hidden, 1024);
  EXPECT_EQ(point.width, 256);
  EXPECT_EQ(point.place, "raw.jsonl:1");
  EXPECT_EQ(point.source, "moesim measure 0.1 on NVIDIA T1, driver 9");
  EXPECT_DOUBLE_EQ(point.measured.value, 50e-6);
  const std::vector<std::int64_t> rows{128, 0, 64};
  EXPECT_EQ(
      point.predict(ideal_constants()),
      grouped_gemm_time({small_spec().gpu, ideal_constants()}, rows, 512, 1024, Dtype::kBf16));
}

/// 10 + 3 + 6 us of the experts; the layer's other stages are not theirs.
TEST(RawFile, OfALayerTheExpertStagesCount) {
  const Reading reading = read(line(
      "layer",
      R"({"model":"m","pass":"forward","dtype":"fp8","hidden":512,"width":256,"experts":2,)"
      R"("top_k":1,"counts":[5,6]})",
      R"(,"extra":{"stages_s":{"gate":9e-06,"gate_up":1e-05,"activation":3e-06,"down":6e-06}})"));
  ASSERT_EQ(reading.points.size(), 1U);
  EXPECT_EQ(reading.points[0].kernel, "cublas_fp8");
  EXPECT_DOUBLE_EQ(reading.points[0].measured.value, 19e-6);
  CostConstants gathering = ideal_constants();
  CostConstants without = gathering;
  without.expert_gather = false;
  EXPECT_EQ(reading.points[0].predict(gathering), reading.points[0].predict(without));
}

/// Rank 0 sends 3 MB, rank 1 1 MB: 30 us of a 100 GB/s port, 1 us of path, 10 us of start.
TEST(RawFile, AnUnevenAllToAllMovesItsOwnBytes) {
  const Reading reading = read(line("collective",
                                    R"({"op":"all_to_all_v","ranks":2,"bytes":4000000,)"
                                    R"("send_bytes":[[1000000,3000000],[1000000,3000000]]})"));
  ASSERT_EQ(reading.points.size(), 1U);
  EXPECT_EQ(reading.points[0].kernel, "nccl");
  EXPECT_EQ(reading.points[0].label, "all-to-all-v, 2 ranks, 4000000 B");
  EXPECT_NEAR(reading.points[0].predict(ideal_constants()).value, 41e-6, 1e-11);
}

TEST(RawFile, TheLastLineOfACaseCountsAndAnUnfinishedOneDoesNot) {
  std::string again = line("grouped_gemm", kGemm);
  again.replace(again.find("5e-05"), 5, "7e-05");
  std::string cut = line("layer", "{}");
  cut.resize(40);
  const Reading reading = read(line("grouped_gemm", kGemm) + again + cut);
  ASSERT_EQ(reading.points.size(), 1U);
  EXPECT_DOUBLE_EQ(reading.points[0].measured.value, 70e-6);
  EXPECT_EQ(reading.points[0].place, "raw.jsonl:2");
}

TEST(RawFile, WhatNoModelPredictsIsPassedOverWithItsReason) {
  const auto changed = [](std::string_view what, std::string_view into) {
    std::string text = line("grouped_gemm", kGemm);
    text.replace(text.find(what), what.size(), into);
    return read(text).skipped;
  };
  using Skipped = std::map<std::string, int>;
  EXPECT_EQ(read(line("copy", "{}")).skipped,
            (Skipped{{"kinds that no cost model is fitted to", 1}}));
  EXPECT_EQ(changed("NVIDIA T1", "NVIDIA T2"), (Skipped{{"another GPU", 1}}));
  EXPECT_EQ(changed("\"time\":{\"median_s\":5e-05}", "\"skipped\":\"no\""),
            (Skipped{{"cases that could not run on the device", 1}}));
  EXPECT_EQ(changed("forward", "backward_input"),
            (Skipped{{"backward passes: no cost model of theirs", 1}}));
  EXPECT_EQ(changed("cold", "warm"), (Skipped{{"warm L2", 1}}));
  const auto collective =
      [](const std::string& op, const std::string& ranks, const std::string& b) {
        return read(line("collective",
                         R"({"op":")" + op + R"(","ranks":)" + ranks + R"(,"bytes":)" + b + "}"))
            .skipped;
      };
  EXPECT_EQ(collective("send_recv", "2", "4000000"),
            (Skipped{{"a collective other than all-to-all", 1}}));
  EXPECT_EQ(collective("all_to_all", "1", "4000000"),
            (Skipped{{"fewer than 2 or more than 64 ranks", 1}}));
  EXPECT_EQ(collective("all_to_all", "2", "4000"),
            (Skipped{{"an all-to-all below 1 MiB: NCCL runs another protocol there", 1}}));
}

TEST(RawFile, MistakesNameFileLineAndField) {
  const auto changed = [](std::string_view what, std::string_view into) {
    std::string text = line("grouped_gemm", kGemm);
    text.replace(text.find(what), what.size(), into);
    return mistake_of(text);
  };
  const std::string at = "raw.jsonl:1:1: error: ";
  EXPECT_EQ(mistake_of("{\"a\":\n"), at + "not one JSON object");
  EXPECT_EQ(mistake_of(line("copy", "{}") + "[1]\n"), "raw.jsonl:2:1: error: not one JSON object");
  EXPECT_EQ(changed("\"moesim-raw\"", "\"other\""), at + "format: \"other\" is not moesim-raw");
  EXPECT_EQ(changed("\"schema\":1", "\"schema\":2"), at + "schema: 2; this moesim reads 1");
  EXPECT_EQ(changed("\"kind\"", "\"sort\""), at + "kind: missing");
  EXPECT_EQ(changed("\"l2\":\"cold\"", "\"l2\":3"), at + "l2: not a text");
  EXPECT_EQ(changed("\"inner\"", "\"outer\""), at + "input.inner: missing");
  EXPECT_EQ(changed("\"inner\":1024", "\"inner\":0"),
            at + "input.inner: not a whole number from 1 to 2^31 - 1");
  EXPECT_EQ(changed("5e-05", "-1"), at + "time.median_s: not a number above 0");
  EXPECT_EQ(changed("bf16", "int4"), at + "input.dtype: \"int4\" is not bf16 or fp8");
  EXPECT_EQ(changed("gate_up", "up"), at + "input.projection: \"up\" is not gate_up or down");
  EXPECT_EQ(changed("[128,0,64]", "[-1]"), at + "input.counts: not a list of whole numbers from 0");
  EXPECT_EQ(changed("[128,0,64]", "[0]"), at + "input.counts: no rows");
  EXPECT_EQ(mistake_of(line("collective",
                            R"({"op":"all_to_all_v","ranks":2,"bytes":4000000,)"
                            R"("send_bytes":[[1,2]]})")),
            at + "input.send_bytes: 2 numbers for 2 ranks");
}

/// The kit's own golden lines: one forward grouped GEMM could run, one could not; its layer lacks
/// stages and its all-to-all-v is small.
TEST(RawFile, OfTheKitsOwnWriterIsRead) {
  std::ifstream stream(MOESIM_SOURCE_DIR "/tests/gpu_ref/measure/synthetic_raw.jsonl");
  std::ostringstream text;
  text << stream.rdbuf();
  ClusterSpec spec = small_spec();
  spec.gpu.name = "Synthetic GPU";
  std::string lines = text.str();
  const std::string stages = "\"gate_up\":4e-05";
  lines.replace(lines.find(stages), stages.size(), stages + ",\"activation\":1e-06,\"down\":2e-05");
  const Reading reading = read(lines, spec);
  ASSERT_EQ(reading.points.size(), 2U);
  EXPECT_EQ(reading.points[0].kernel, "cublas_fp8");
  EXPECT_EQ(reading.points[0].rows, 1024);
  EXPECT_EQ(reading.points[0].width, 1408);
  EXPECT_EQ(reading.points[1].kernel, "cublas_bf16");
  EXPECT_DOUBLE_EQ(reading.points[1].measured.value, 61e-6);
  EXPECT_EQ(reading.skipped.at("kinds that no cost model is fitted to"), 5);
  EXPECT_EQ(reading.skipped.at("cases that could not run on the device"), 1);
  EXPECT_EQ(reading.skipped.at("backward passes: no cost model of theirs"), 1);
}

}  // namespace
}  // namespace moesim::calibrate
