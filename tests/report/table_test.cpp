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

// Less two and the 8 of "measured", 80 columns leave 70 to the first.
TEST(Table, NamesThatLeaveNoRoomAreBroken) {
  const std::string name = std::string(40, 'a') + " " + std::string(40, 'b');
  EXPECT_EQ(table({"case", "measured"}, {{name, "12.3"}, {"c", "4"}}),
            "case" + std::string(66, ' ') + "  measured\n" + std::string(40, 'a') + "\n  " +
                std::string(40, 'b') + std::string(28, ' ') + "      12.3\n" + "c" +
                std::string(69, ' ') + "         4\n");
}

TEST(Table, AWordThatIsTooLongHasItsLine) {
  EXPECT_EQ(table({"case", "n"}, {{std::string(90, 'p'), "1"}}),
            "case" + std::string(73, ' ') + "  n\n" + std::string(90, 'p') + "\n" +
                std::string(77, ' ') + "  1\n");
}

TEST(Table, HeadingsAreBrokenBeforeNamesAre) {
  EXPECT_EQ(table({"point",
                   "steps.0.layers.0.phases.dispatch.max_s",
                   "a long heading of words",
                   "model.expert_width"},
                  {{"0", "97.6 us", "12", "16384"}}),
            "           steps.0.layers.0.phases.\n"
            "point                dispatch.max_s  a long heading of words  model.expert_width\n"
            "0                           97.6 us                       12               16384\n");
}

// 3 + 30 + 30 would fit, the third column of 30 does not.
TEST(Table, ColumnsBeyondEightyStandBelow) {
  const std::string wide(30, 'w');
  EXPECT_EQ(table({"n", "a", "b", "c"}, {{"1", wide, wide, wide}, {"2", "x", "y", "z"}}),
            "n" + std::string(31, ' ') + "a" + std::string(31, ' ') + "b\n" + "1  " + wide + "  " +
                wide + "\n2" + std::string(31, ' ') + "x" + std::string(31, ' ') + "y\n\nn" +
                std::string(31, ' ') + "c\n1  " + wide + "\n2" + std::string(31, ' ') + "z\n");
}

TEST(Table, LettersBeyondAsciiTakeOneColumn) {
  EXPECT_EQ(table({"name", "n"}, {{"\u00e9t\u00e9", "1"}, {"abcd", "22"}}),
            "name   n\n\u00e9t\u00e9    1\nabcd  22\n");
}

TEST(Wrapped, BreaksAtBlanksBeforeColumnEightyAndIndentsTheRest) {
  const std::string forty(40, 'x');
  EXPECT_EQ(wrapped("short"), "short\n");
  EXPECT_EQ(wrapped(""), "\n");
  EXPECT_EQ(wrapped(forty + " " + std::string(39, 'y')), forty + " " + std::string(39, 'y') + "\n");
  EXPECT_EQ(wrapped(forty + " " + forty + " z"), forty + "\n  " + forty + " z\n");
  EXPECT_EQ(wrapped("    " + forty + " " + forty), "    " + forty + "\n      " + forty + "\n");
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
