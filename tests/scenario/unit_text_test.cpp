// SPDX-License-Identifier: Apache-2.0
#include "sim/core/unit_text.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <string>

namespace moesim {
namespace {

TEST(UnitText, ANumberInAnyDecimalUnitIsTheNearestDouble) {
  EXPECT_EQ(parse_seconds("300 ns")->value, 300e-9);
  EXPECT_EQ(parse_seconds("0.7 us")->value, 0.7e-6);
  EXPECT_EQ(parse_seconds("0.7 us"), parse_seconds("700 ns"));
  EXPECT_EQ(parse_seconds("2.68us")->value, 2.68e-6);
  EXPECT_EQ(parse_seconds("1.5e+3 ps")->value, 1.5e-9);
  EXPECT_EQ(parse_seconds(" 2E-3 ms ")->value, 2e-6);
  EXPECT_EQ(parse_bytes("1.1 TB")->value, 1.1e12);
  EXPECT_EQ(parse_bytes("3 KiB")->value, 3072.0);
  EXPECT_EQ(parse_bytes_per_second("400 Gbit/s")->value, 50e9);
  EXPECT_EQ(parse_bytes_per_second("0.8 Mbit/s")->value, 100e3);
  EXPECT_EQ(parse_flops_per_second("2.5 Pflop/s")->value, 2.5e15);
}

TEST(UnitText, WhatIsReadIsWrittenInTheLargestUnitThatLeavesOneOrMore) {
  EXPECT_EQ(to_text(*parse_seconds("300 ns")), "300 ns");
  EXPECT_EQ(to_text(*parse_seconds("0.7 us")), "700 ns");
  EXPECT_EQ(to_text(*parse_seconds("2.68 us")), "2.68 us");
  EXPECT_EQ(to_text(*parse_seconds("0.5 ps")), "5e-13 s");
  EXPECT_EQ(to_text(*parse_seconds("0 ms")), "0 s");
  EXPECT_EQ(to_text(*parse_seconds("1e20 s")), "1e+20 s");
  EXPECT_EQ(to_text(*parse_bytes_per_second("400 Gbit/s")), "50 GB/s");
  EXPECT_EQ(to_text(*parse_bytes_per_second("999999 MB/s")), "999.999 GB/s");
  EXPECT_EQ(to_text(*parse_bytes("1024 GiB")), "1.099511627776 TB");
}

RC_GTEST_PROP(UnitText, NanosecondsOfAnyDecimalsAreWrittenBackAsTheyWereRead, (std::uint32_t n)) {
  const std::string text = std::to_string(n % 999 + 1) + "." + std::to_string(n % 9 + 1) + " ns";
  RC_ASSERT(to_text(*parse_seconds(text)) == text);
}

TEST(UnitText, ANumberTooLargeOrTooSmallForItsUnitIsRefusedAsSuch) {
  for (const char* text : {"1e300 TB", "1e-320 ps", "1e400 B"}) {
    EXPECT_FALSE(parse_bytes(text).has_value()) << text;
    EXPECT_FALSE(parse_seconds(text).has_value()) << text;
    EXPECT_EQ(explain_unit_mistake(text), "is not a finite number") << text;
  }
}

}  // namespace
}  // namespace moesim
