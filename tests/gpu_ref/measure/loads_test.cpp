// SPDX-License-Identifier: Apache-2.0
// Loads of every skew, routings that have them, and the built-in trace.
#include "gpu_ref/measure/loads.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>

#include "gpu_ref/measure/case.hpp"
#include "gpu_ref/measure/mistake.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::measure {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Shares 1 : 2 : 4 of 10: 1.43, 2.86, 5.71; whole parts 1, 2, 5; the two left go to .86 and .71.
TEST(Apportionment, GivesTheRestToTheLargestRemainders) {
  EXPECT_THAT(apportion(std::vector<double>{1, 2, 4}, 10), ElementsAre(1, 3, 6));
  EXPECT_THAT(apportion(std::vector<double>{1, 1, 1}, 4), ElementsAre(2, 1, 1));
}

TEST(Skews, AllSumToTheRows) {
  const TraceLoads trace = built_in_trace();
  for (const char* skew :
       {"uniform", "lognormal0.5", "lognormal1", "lognormal1.5", "one_hot", "trace-0"}) {
    for (const std::int64_t experts : {1, 8, 64}) {
      for (const std::int64_t rows : {1, 1000, 32768}) {
        EXPECT_EQ(rows_of(counts_of_skew(skew, experts, rows, trace)), rows) << skew;
      }
    }
  }
}

TEST(Skews, GrowFromUniformToOneHot) {
  const auto most = [](const char* skew) {
    const auto counts = counts_of_skew(skew, 64, 65536, built_in_trace());
    return *std::max_element(counts.begin(), counts.end());
  };
  EXPECT_EQ(most("uniform"), 1024);
  EXPECT_GT(most("lognormal0.5"), 1024 * 1.5);
  EXPECT_GT(most("lognormal1"), most("lognormal0.5"));
  EXPECT_GT(most("lognormal1.5"), most("lognormal1"));
  EXPECT_EQ(most("one_hot"), 65536);
}

TEST(Skews, OfATraceAreItsOwnShares) {
  const TraceLoads trace = {{30, 10, 0, 60}, {0, 0, 1, 1}};
  EXPECT_THAT(counts_of_skew("trace-0", 4, 10, trace), ElementsAre(3, 1, 0, 6));
  EXPECT_THAT(counts_of_skew("trace-0", 2, 8, trace), ElementsAre(6, 2));
  EXPECT_THAT(counts_of_skew("trace-1", 2, 8, trace), IsEmpty());  // those experts have no load
  EXPECT_THAT(counts_of_skew("trace-0", 5, 8, trace), IsEmpty());
}

TEST(Skews, UnknownNamesAreRefused) {
  for (const char* name : {"even", "lognormal", "lognormalx", "trace-2", "trace-"}) {
    EXPECT_THROW((void)counts_of_skew(name, 2, 8, {{1, 1}}), std::invalid_argument) << name;
  }
}

TEST(Caps, MoveWhatIsBeyondToTheEmptiest) {
  EXPECT_THAT(capped({10, 2, 0, 0}, 4), ElementsAre(4, 2, 4, 2));
  EXPECT_THAT(capped({1, 2, 3}, 3), ElementsAre(1, 2, 3));
}

TEST(Routings, HaveTheCountsAndDistinctExpertsInEveryToken) {
  const std::int64_t tokens = 50;
  const std::int64_t top_k = 3;
  const auto counts = capped(lognormal_counts(8, tokens * top_k, 1.5, 7), tokens);
  ASSERT_GT(*std::max_element(counts.begin(), counts.end()), 30);  // far from even
  const auto experts = routing_of_counts(counts, tokens, top_k, 1);
  std::vector<std::int64_t> found(8);
  for (std::size_t t = 0; t < 50; ++t) {
    const std::set<std::int32_t> of_token(experts.begin() + static_cast<std::ptrdiff_t>(t * 3),
                                          experts.begin() + static_cast<std::ptrdiff_t>(t * 3 + 3));
    EXPECT_EQ(of_token.size(), 3U);
    for (const std::int32_t e : of_token) {
      ++found[static_cast<std::size_t>(e)];
    }
  }
  EXPECT_EQ(found, counts);
}

TEST(Routings, RowsAreInExpertOrderThenTokenOrder) {
  EXPECT_THAT(expert_major_rows({1, 0, 1, 2, 0, 1}, 3), ElementsAre(2, 0, 3, 5, 1, 4));
}

TEST(BuiltInTrace, IsTheLoadOfTheShippedPack) {
  const auto pack = traces::read_pack(std::filesystem::path(MOESIM_SOURCE_DIR) /
                                      "scenarios/traces/tinymoe-unbalanced");
  const TraceLoads built_in = built_in_trace();
  ASSERT_EQ(built_in.size(), static_cast<std::size_t>(pack.header.layers));
  for (std::size_t layer = 0; layer < built_in.size(); ++layer) {
    std::vector<std::int64_t> load(static_cast<std::size_t>(pack.header.experts));
    for (const ExpertIndex expert : traces::layer_ids(*pack.topk, layer)) {
      ++load[expert];
    }
    EXPECT_EQ(built_in[layer], load);
  }
}

class TraceFiles : public testing::Test {
 protected:
  ~TraceFiles() override { std::filesystem::remove(file_); }
  std::string refusal(const std::string& text) const {
    std::ofstream(file_) << text;
    try {
      (void)read_trace_loads(file_);
    } catch (const KitMistake& mistake) {
      return mistake.what();
    }
    return "";
  }
  std::string file_ = (std::filesystem::temp_directory_path() /
                       ("moesim_loads_" + std::to_string(::getpid()) + ".csv"))
                          .string();
};

TEST_F(TraceFiles, AreReadAsTraceInfoWritesThem) {
  EXPECT_EQ(refusal("layer,expert,assignments\n0,0,5\n0,1,6\n1,0,7\n1,1,8\n"), "");
  EXPECT_EQ(read_trace_loads(file_), (TraceLoads{{5, 6}, {7, 8}}));
}

TEST_F(TraceFiles, OtherTextIsRefusedWithItsLine) {
  EXPECT_EQ(refusal("a,b\n"), file_ + ":1: expected the header layer,expert,assignments");
  const std::string words =
      ": expected layer,expert,assignments with layers and experts counted up from 0";
  const std::string head = "layer,expert,assignments\n";
  EXPECT_EQ(refusal(head + "0,0,5\n0,2,6\n"), file_ + ":3" + words);
  EXPECT_EQ(refusal(head + "1,0,5\n"), file_ + ":2" + words);
  EXPECT_EQ(refusal(head + "0,0,-5\n"), file_ + ":2" + words);
  EXPECT_EQ(refusal(head + "0,0,5,9\n"), file_ + ":2" + words);
  EXPECT_EQ(refusal(head), file_ + ": holds no loads");
}

}  // namespace
}  // namespace moesim::measure
