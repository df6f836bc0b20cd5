// SPDX-License-Identifier: Apache-2.0
#include <Random123/philox.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <stdlib.h>

#include <array>
#include <cmath>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/rng.hpp"
#include "sim/core/sim_time.hpp"
#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"

namespace moesim {
namespace {

template <typename A, typename B>
concept Addable = requires(A a, B b) {
  a + b;
};
static_assert(Addable<Bytes, Bytes>);
static_assert(!Addable<Bytes, Seconds>);
static_assert(!Addable<Bytes, double>);

TEST(SimTime, ADurationBecomesTheNearestPicosecondOrIsRefused) {
  EXPECT_EQ(ticks(seconds(1.4e-12)).picoseconds, 1);
  EXPECT_EQ(after(SimTime{5}, microseconds(1)).picoseconds, 1'000'005);
  EXPECT_THROW((void)ticks(seconds(-1e-9)), std::logic_error);
  EXPECT_THROW((void)ticks(seconds(1e7)), std::logic_error);
  EXPECT_THROW((void)after(SimTime::never(), seconds(1)), std::logic_error);
}

// First line of philox4x32 10 in Random123's own kat_vectors.
TEST(RngStream, ThePhiloxBelowItGivesThePublishedVector) {
  const auto out = r123::Philox4x32{}({{0, 0, 0, 0}}, {{0, 0}});
  EXPECT_EQ(out[0], 0x6627e8d5U);
  EXPECT_EQ(out[1], 0xe169c58dU);
  EXPECT_EQ(out[2], 0xbc57ac4cU);
  EXPECT_EQ(out[3], 0x9b00dbd8U);
}

TEST(RngStream, DrawingMoreFromOneStreamNeverShiftsAnother) {
  RngStream alone(1, "gating", 3);
  RngStream beside(1, "gating", 3);
  RngStream other(1, "gating", 4);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const std::uint32_t noise = other();
    const std::uint32_t draw = beside();
    EXPECT_EQ(alone(), draw);
    differs = differs || noise != draw;
  }
  EXPECT_TRUE(differs);
}

TEST(RngStream, FillsWithTheWordsThatCallsWouldGive) {
  RngStream called(1, "gating", 3);
  RngStream filled(1, "gating", 3);
  for (const std::size_t count : {1U, 0U, 2U, 7U, 1U, 16U, 3U}) {
    std::vector<std::uint32_t> words(count);
    filled.fill(words);
    for (const std::uint32_t word : words) {
      EXPECT_EQ(word, called());
    }
  }
  EXPECT_EQ(filled(), called());
}

// 60,000 draws of 6 values: the standard deviation of a count is 91, so 600 is beyond 6 of them.
TEST(RngStream, BelowIsUniform) {
  RngStream rng(1, "dice");
  std::array<int, 6> count{};
  for (int i = 0; i < 60'000; ++i) {
    ++count.at(rng.below(6));
  }
  for (const int c : count) {
    EXPECT_NEAR(c, 10'000, 600);
  }
}

RC_GTEST_PROP(UnitText, AQuantityReadsBackBitForBit, (unsigned mantissa, unsigned char shift)) {
  const double value = static_cast<double>(mantissa) * std::pow(10.0, shift % 40 - 20);
  RC_ASSERT(parse_bytes(to_text(Bytes{value})) == Bytes{value});
  RC_ASSERT(parse_seconds(to_text(Seconds{value})) == Seconds{value});
  RC_ASSERT(parse_bytes_per_second(to_text(BytesPerSecond{value})) == BytesPerSecond{value});
  RC_ASSERT(parse_flops_per_second(to_text(FlopsPerSecond{value})) == FlopsPerSecond{value});
}

TEST(UnitText, IsWrittenAsPeopleWriteIt) {
  EXPECT_EQ(to_text(microseconds(3.2)), "3.2 us");
  EXPECT_EQ(to_text(gigabytes_per_second(50)), "50 GB/s");
  EXPECT_EQ(to_text(gigabytes(141)), "141 GB");
  EXPECT_EQ(to_text(Seconds{}), "0 s");
}

TEST(UnitText, ARefusedTextIsExplained) {
  for (const char* bad : {"450 Gb/s", "450", "-1 GB/s", "fast", "1e999 GB/s", "5 us"}) {
    EXPECT_FALSE(parse_bytes_per_second(bad).has_value()) << bad;
  }
  EXPECT_EQ(explain_unit_mistake("450 Gb/s"), "is ambiguous");
  EXPECT_EQ(explain_unit_mistake("450"), "has no unit");
  EXPECT_EQ(explain_unit_mistake("-1 GB/s"), "is negative");
  EXPECT_EQ(explain_unit_mistake("fast"), "does not start with a number");
  EXPECT_EQ(explain_unit_mistake("1e999 GB/s"), "is not a finite number");
  EXPECT_EQ(explain_unit_mistake("5 us"), "has the wrong unit \"us\"");
}

TEST(Text, TheNearestWordIsNearOrNone) {
  const std::string words[] = {"top_k", "layers"};
  EXPECT_EQ(nearest_word("top_K", words), "top_k");
  EXPECT_EQ(nearest_word("bandwidth", words), "");
  EXPECT_EQ(quoted_text("a\"\x1b"), "\"a\\\"\\u001B\"");
}

TEST(Diagnostics, TheCaretStandsUnderTheColumnAndControlCharactersAreNotPrinted) {
  Diagnostic d;
  d.place.file = "f.toml";
  d.place.line = 18;
  d.place.column = 6;
  d.key = "a.b";
  d.message = "is wrong";
  d.source_line =
      "b\t= \x1b"
      "5";
  d.hint = "expected 6";
  EXPECT_EQ(to_text(d),
            "f.toml:18:6: error: a.b: is wrong\n    18 | b\t= ?5\n       |  \t   ^ expected 6");
}

TEST(AtomicFile, AFailureLeavesNothingBehind) {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "moesim-core-XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  write_file_atomically(folder / "a/b", "text");
  EXPECT_EQ(read_file(folder / "a/b"), "text");
  EXPECT_THROW(write_file_atomically(folder / "a", "over a folder"), EnvironmentError);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace moesim
