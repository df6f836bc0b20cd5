// SPDX-License-Identifier: Apache-2.0
#include "sim/report/table.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "sim/report/run_report.hpp"

namespace moesim {
namespace {

TEST(Table, TheFirstColumnIsLeftAlignedAndTheOthersAreRightAligned) {
  EXPECT_EQ(table({"name", "n", "long head"}, {{"a", "12345", "x"}, {"longer", "1", ""}}),
            "name        n  long head\n"
            "a       12345          x\n"
            "longer      1\n");
}

TEST(Table, WithoutRowsItIsItsHeader) {
  EXPECT_EQ(table({"only", "head"}, {}), "only  head\n");
}

TEST(Wrapped, BreaksAtBlanksBeforeColumnEightyAndIndentsTheRest) {
  const std::string forty(40, 'x');
  EXPECT_EQ(wrapped("short"), "short\n");
  EXPECT_EQ(wrapped(""), "\n");
  EXPECT_EQ(wrapped(forty + " " + std::string(39, 'y')), forty + " " + std::string(39, 'y') + "\n");
  EXPECT_EQ(wrapped(forty + " " + forty + " z"), forty + "\n  " + forty + " z\n");
  EXPECT_EQ(wrapped("a " + std::string(100, 'w') + " b"),
            "a\n  " + std::string(100, 'w') + "\n  b\n");
}

TEST(ReadableTime, KeepsThreeDigitsAndChangesTheUnitWhereTheyRoundUp) {
  EXPECT_EQ(readable_time(0.0), "0.00 ns");
  EXPECT_EQ(readable_time(1.234e-9), "1.23 ns");
  EXPECT_EQ(readable_time(12.34e-6), "12.3 us");
  EXPECT_EQ(readable_time(123.4e-6), "123 us");
  EXPECT_EQ(readable_time(9.996e-6), "10.0 us");
  EXPECT_EQ(readable_time(99.96e-6), "100 us");
  EXPECT_EQ(readable_time(999.4e-6), "999 us");
  EXPECT_EQ(readable_time(999.6e-6), "1.00 ms");
  EXPECT_EQ(readable_time(1.5), "1.50 s");
  EXPECT_EQ(readable_time(4321.0), "4321 s");
}

TEST(ReadableBytes, ArePlainBelowAThousandAndDecimalAbove) {
  EXPECT_EQ(readable_bytes(0), "0 B");
  EXPECT_EQ(readable_bytes(999), "999 B");
  EXPECT_EQ(readable_bytes(1000), "1.00 kB");
  EXPECT_EQ(readable_bytes(1.234e6), "1.23 MB");
  EXPECT_EQ(readable_bytes(56.7e9), "56.7 GB");
  EXPECT_EQ(readable_bytes(1.0e12), "1.00 TB");
  EXPECT_EQ(readable_bytes(1.0e15), "1000 TB");
}

TEST(ReadableShare, IsPerCentWithTwoDigits) {
  EXPECT_EQ(readable_share(0.0), "0.00 %");
  EXPECT_EQ(readable_share(0.12345), "12.35 %");
  EXPECT_EQ(readable_share(1.0), "100.00 %");
}

TEST(DistributionOf, GivesMeanExtremesAndNearestRankPercentiles) {
  std::vector<double> values;
  for (int i = 200; i >= 1; --i) {
    values.push_back(i);
  }
  const Distribution d = distribution_of(values);
  EXPECT_EQ(d.mean, 100.5);
  EXPECT_EQ(d.min, 1);
  EXPECT_EQ(d.p50, 100);
  EXPECT_EQ(d.p90, 180);
  EXPECT_EQ(d.p99, 198);
  EXPECT_EQ(d.max, 200);
}

TEST(DistributionOf, OneValueIsAllOfThemAndNoneIsABug) {
  const Distribution d = distribution_of({4.0});
  EXPECT_EQ(d.mean, 4.0);
  EXPECT_EQ(d.p50, 4.0);
  EXPECT_EQ(d.p99, 4.0);
  EXPECT_THROW((void)distribution_of({}), std::logic_error);
}

}  // namespace
}  // namespace moesim
