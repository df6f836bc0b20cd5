// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/checks.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include "sim/core/rng.hpp"
#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// Ids of `tokens` tokens, 3 layers, top_k 2 of 16 experts. Each token keeps one expert of the
/// token `stride` before it, as neighbours in real text do, so the overlap peaks at that lag.
std::vector<std::int16_t> random_ids(int tokens, int stride) {
  RngStream rng(1, "test ids");
  std::vector<std::int16_t> ids;
  for (int i = 0; i < tokens * 3; ++i) {
    const std::size_t before = static_cast<std::size_t>(stride) * 6;
    const auto kept = ids.size() >= before && before > 0 ? ids[ids.size() - before + 1]
                                                         : static_cast<std::int16_t>(rng.below(16));
    std::int16_t fresh = kept;
    while (fresh == kept) {
      fresh = static_cast<std::int16_t>(rng.below(16));
    }
    ids.push_back(kept);
    ids.push_back(fresh);
  }
  return ids;
}

NpyArray array_of(const std::vector<std::int16_t>& ids) {
  return make_array(NumberType::kI2, {static_cast<std::int64_t>(ids.size() / 6), 3, 2}, ids);
}

std::vector<std::string> messages(const std::vector<Finding>& findings, bool errors) {
  std::vector<std::string> texts;
  for (const Finding& finding : findings) {
    if (is_error(finding.topic) == errors) {
      texts.push_back(finding.message);
    }
  }
  return texts;
}

std::vector<Finding> check(const std::vector<std::int16_t>& ids, int num_experts = 16) {
  const NpyArray topk = array_of(ids);
  const std::vector<TraceSequence> sequences = {{0, topk.shape()[0], "", ""}};
  return check_topk(topk, sequences, num_experts).findings;
}

TEST(Checks, SoundIdsHaveNoFindings) {
  EXPECT_THAT(check(random_ids(400, 1)), IsEmpty());
}

TEST(Checks, WarmupRowsAtTheStartAreCounted) {
  std::vector<std::int16_t> ids = random_ids(400, 1);
  const std::vector<std::int16_t> first(ids.begin(), ids.begin() + 6);
  for (int i = 1; i < 20; ++i) {
    ids.insert(ids.begin(), first.begin(), first.end());
  }
  EXPECT_THAT(messages(check(ids), true),
              ElementsAre("the first 20 rows are equal, as warm-up passes leave them; drop warm-up "
                          "to leave them out"));
  ids.erase(ids.begin(), ids.begin() + 30);  // 15 are fewer than a warm-up
  EXPECT_THAT(messages(check(ids), true), IsEmpty());
}

TEST(Checks, InterleavedSequencesAreNamedByTheirStride) {
  const std::vector<Finding> findings = check(random_ids(4000, 8));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].topic, Topic::kInterleaving);
  EXPECT_THAT(findings[0].message,
              testing::MatchesRegex("tokens 8 apart share 0\\.5[0-9][0-9] of their experts, "
                                    "neighbours only 0\\.1[0-9][0-9]: 8 sequences seem to be "
                                    "interleaved; separate them before use"));
}

TEST(Checks, OverlapIsCountedWithinSequencesOnly) {
  // Two sequences of two tokens; neighbours share 2 of 2 in the first and 1 of 2 in the second.
  const NpyArray topk =
      make_array<std::uint8_t>(NumberType::kU1, {4, 1, 2}, {0, 1, 1, 0, 0, 1, 1, 2});
  const std::vector<TraceSequence> sequences = {{0, 2, "", ""}, {2, 2, "", ""}};
  const std::vector<double> overlap = overlap_by_lag(topk, sequences, 4);
  EXPECT_EQ(overlap[0], 0.75);
  EXPECT_EQ(overlap[1], 0.0);
  const std::vector<TraceSequence> whole = {{0, 4, "", ""}};
  EXPECT_EQ(overlap_by_lag(topk, whole, 4)[1], 0.75);
}

TEST(Checks, CopiedLayersAreNamed) {
  std::vector<std::int16_t> ids = random_ids(300, 1);
  for (std::size_t row = 0; row < ids.size(); row += 6) {
    ids[row + 4] = ids[row];
    ids[row + 5] = ids[row + 1];
  }
  EXPECT_THAT(messages(check(ids), true),
              ElementsAre("layers that are copies of earlier ones: 2 of 0; keep equal layers to "
                          "take them as they are"));
}

TEST(Checks, ManyCopiedLayersAreCutShort) {
  const NpyArray same(NumberType::kU1, {1, 12, 1}, std::vector<std::byte>(12));
  EXPECT_EQ(equal_layers(same, 1).size(), 11U);
  EXPECT_EQ(check_counts(same).findings[0].message,
            "layers that are copies of earlier ones: 1 of 0, 2 of 0, 3 of 0, 4 of 0, 5 of 0, 6 of "
            "0, 7 of 0, 8 of 0 and 3 more; keep equal layers to take them as they are");
}

TEST(Checks, PaddingIsToldApartFromChoices) {
  std::vector<std::int16_t> ids = random_ids(300, 1);
  ids[5 * 6 + 3] = -1;                  // one slot of token 5
  ids[7 * 6 + 2] = ids[7 * 6 + 3] = 0;  // a zero row of token 7
  for (std::size_t row = 0; row < ids.size(); row += 6) {
    ids[row] = ids[row + 1] = -1;  // layer 0 is dense
  }
  EXPECT_THAT(messages(check(ids), true),
              ElementsAre("layer 0 holds only padding (-1 or zero rows), as dense layers do; drop "
                          "padding to leave it out",
                          "2 tokens with padding (-1 or a zero row), first token 5; drop padding "
                          "to leave them out"));
}

TEST(Checks, OutOfRangeIdsSuggestPhysicalOnes) {
  std::vector<std::int16_t> ids = random_ids(300, 1);
  ids[9 * 6 + 5] = 17;
  ids[11 * 6 + 2] = 19;
  EXPECT_THAT(messages(check(ids), true),
              ElementsAre("2 expert ids outside 0 to 15, first 17 at token 9, layer 2, slot 1; ids "
                          "up to 19 look like physical ids, map them to logical ones first"));
  ids[9 * 6 + 5] = ids[11 * 6 + 2] = -7;
  EXPECT_THAT(messages(check(ids), true),
              ElementsAre("2 expert ids outside 0 to 15, first -7 at token 9, layer 2, slot 1"));
}

TEST(Checks, RepeatedExpertsOfATokenAreNamed) {
  std::vector<std::int16_t> ids = random_ids(300, 1);
  ids[9 * 6 + 4] = ids[9 * 6 + 5] = 3;
  EXPECT_THAT(messages(check(ids), true),
              ElementsAre("1 rows name an expert twice, first expert 3 at token 9, layer 2"));
}

TEST(Checks, ExpertsNeverChosenAreAWarning) {
  EXPECT_THAT(messages(check(random_ids(300, 1), 18), false),
              ElementsAre("6 experts in 3 of 3 layers are never chosen, most in layer 0 (2 of "
                          "18)"));
}

TEST(Checks, CountsAreCheckedTheSameWay) {
  std::vector<std::uint16_t> counts;
  for (int step = 0; step < 18; ++step) {
    counts.insert(counts.end(), {3, 1, 0, 4, 2, 2});
  }
  counts.back() = 9;
  const auto findings = check_counts(make_array(NumberType::kU2, {18, 2, 3}, counts)).findings;
  EXPECT_THAT(messages(findings, true),
              ElementsAre("the first 17 steps are equal, as warm-up passes leave them; drop "
                          "warm-up to leave them out"));
  EXPECT_THAT(messages(findings, false),
              ElementsAre("1 experts in 1 of 2 layers are never chosen, most in layer 0 (1 of 3)"));
}

TEST(Checks, PacksAreCheckedByTheirKind) {
  EXPECT_THAT(check_pack(small_pack("", false)).findings, IsEmpty());
  RoutePack counts = small_pack("", false);
  counts.topk.reset();
  counts.counts = make_array<std::uint8_t>(NumberType::kU1, {1, 2, 2}, {1, 1, 1, 1});
  EXPECT_EQ(check_pack(counts).findings.size(), 1U);
}

}  // namespace
}  // namespace moesim::traces
