// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/token_draw.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <numeric>
#include <thread>

#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

RoutingSpec spec_of(const std::filesystem::path& folder,
                    TraceDraw draw = TraceDraw::kSequences,
                    std::vector<std::string> domains = {}) {
  return {.trace = folder.string(), .draw = draw, .domains = std::move(domains)};
}

/// The rows a rank reads at a step.
std::vector<std::int64_t> rows_of(const TokenDraw& draw, int rank, int step) {
  std::vector<RowRun> runs;
  draw.append_runs(rank, step, runs);
  std::vector<std::int64_t> rows;
  for (const RowRun& run : runs) {
    for (std::int64_t i = 0; i < run.rows; ++i) {
      rows.push_back(run.row + i);
    }
  }
  return rows;
}

std::vector<TraceSequence> sequences_of(const std::vector<int>& lengths) {
  std::vector<TraceSequence> sequences;
  std::int64_t at = 0;
  for (const int rows : lengths) {
    sequences.push_back({.row_start = at, .rows = rows, .domain = "", .source = ""});
    at += rows;
  }
  return sequences;
}

TEST(TokenDraw, RanksReadTheirQueuesInOrderAndStartAgain) {
  // Sequences of 3, 2, 5 rows start at rows 0, 3, 5; rank 0 gets the first and third, rank 1 the
  // second. Rank 0 reads 0 1 2 5 6 7 8 9 and again; rank 1 reads 3 4 and again.
  const TokenDraw draw(TraceDraw::kSequences, sequences_of({3, 2, 5}), 2, 3);
  EXPECT_THAT(rows_of(draw, 0, 0), testing::ElementsAre(0, 1, 2));
  EXPECT_THAT(rows_of(draw, 0, 1), testing::ElementsAre(5, 6, 7));
  EXPECT_THAT(rows_of(draw, 0, 2), testing::ElementsAre(8, 9, 0));
  EXPECT_THAT(rows_of(draw, 1, 0), testing::ElementsAre(3, 4, 3));
  EXPECT_THAT(rows_of(draw, 1, 1), testing::ElementsAre(4, 3, 4));
}

TEST(TokenDraw, DecodeTakesOneTokenOfEveryHeldSequence) {
  // 2 ranks of 2 places hold sequences 0 1 and 2 0; at step 4 they are at rows 4 mod 3, 4 mod 2,
  // 4 mod 5 and 4 mod 3.
  const TokenDraw draw(TraceDraw::kTokens, sequences_of({3, 2, 5}), 2, 2);
  EXPECT_THAT(rows_of(draw, 0, 0), testing::ElementsAre(0, 3));
  EXPECT_THAT(rows_of(draw, 1, 0), testing::ElementsAre(5, 0));
  EXPECT_THAT(rows_of(draw, 0, 4), testing::ElementsAre(1, 3));
  EXPECT_THAT(rows_of(draw, 1, 4), testing::ElementsAre(9, 1));
  // The same, already 2, 1, 4 and 0 tokens into them.
  const TokenDraw later(TraceDraw::kTokens, sequences_of({3, 2, 5}), 2, 2, {2, 1, 4, 0});
  EXPECT_THAT(rows_of(later, 0, 4), testing::ElementsAre(0, 4));
  EXPECT_THAT(rows_of(later, 1, 4), testing::ElementsAre(8, 1));
}

// 20,000 places at a sequence of 3 tokens: 6,667 at each, standard deviation 67.
TEST(TokenDraw, DecodedRequestsAreAtTokensOfTheirOwn) {
  const std::vector<std::int64_t> phases = decode_phases(sequences_of({3}), 20'000, 1);
  for (const std::int64_t at : {0, 1, 2}) {
    EXPECT_NEAR(static_cast<double>(std::count(phases.begin(), phases.end(), at)), 6667, 300);
  }
  EXPECT_EQ(decode_phases(sequences_of({3}), 20'000, 1), phases);
  EXPECT_NE(decode_phases(sequences_of({3}), 20'000, 2), phases);
}

TEST(TokenDraw, WithFewerSequencesThanRanksTheyAreDealtAgain) {
  const TokenDraw draw(TraceDraw::kSequences, sequences_of({3, 2}), 3, 2);
  EXPECT_THAT(rows_of(draw, 2, 0), testing::ElementsAre(0, 1));
}

RC_GTEST_PROP(TokenDrawProperty, EveryRankReadsEachOfItsRowsOnceUntilItStartsAgain, ()) {
  const auto lengths =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(1, 9)));
  const int ranks = *rc::gen::inRange(1, 6);
  const int tokens = *rc::gen::inRange(1, 20);
  const TokenDraw draw(TraceDraw::kSequences, sequences_of(lengths), ranks, tokens);
  std::int64_t rows_of_all = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    std::vector<std::int64_t> read;
    for (int step = 0; step < 40; ++step) {
      const std::vector<std::int64_t> rows = rows_of(draw, rank, step);
      RC_ASSERT(rows.size() == static_cast<std::size_t>(tokens));
      read.insert(read.end(), rows.begin(), rows.end());
    }
    // The period is where the first row comes again; every row before it is different.
    const auto again = std::find(read.begin() + 1, read.end(), read.front());
    std::vector<std::int64_t> round(read.begin(), again);
    const auto period = round.size();
    for (std::size_t i = period; i < read.size(); ++i) {
      RC_ASSERT(read[i] == read[i - period]);
    }
    std::sort(round.begin(), round.end());
    RC_ASSERT(std::adjacent_find(round.begin(), round.end()) == round.end());
    if (again != read.end()) {
      rows_of_all += static_cast<std::int64_t>(period);
    } else {
      return;  // a queue longer than 40 steps: its rows are not all known
    }
  }
  if (lengths.size() >= static_cast<std::size_t>(ranks)) {
    RC_ASSERT(rows_of_all == std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}));
  }
}

class TokenSourceTest : public testing::Test {
 protected:
  TokenSourceTest() { write_pack(small_pack(dir_ / "p", true), "", false); }
  ScratchDir dir_;
};

TEST_F(TokenSourceTest, GivesTheRecordedExpertsAndWeightsInTheDrawnOrder) {
  const auto source = open_routing_source(spec_of(dir_ / "p", TraceDraw::kTokens), 2, 2, 5);
  const std::vector<TraceSequence> order = kept_sequences(read_pack(dir_ / "p"), {}, 5);
  const std::vector<std::int64_t> phases = decode_phases(order, 4, 5);
  const Routing routing = source->route(1, 1);
  EXPECT_EQ(routing.num_experts, 8);
  EXPECT_EQ(routing.top_k, 2);
  EXPECT_THAT(routing.token_begin, testing::ElementsAre(0, 2, 4));
  for (int place = 0; place < 4; ++place) {
    const TraceSequence& held = order[static_cast<std::size_t>(place) % 3];
    const int t = static_cast<int>(held.row_start +
                                   (phases[static_cast<std::size_t>(place)] + 1) % held.rows);
    EXPECT_THAT(routing.of_token(place), testing::ElementsAre(t % 8, (t + 3) % 8));
    EXPECT_EQ(routing.weights[static_cast<std::size_t>(place) * 2],
              0.5F + static_cast<float>(t) / 64.0F);
  }
}

TEST_F(TokenSourceTest, InfoSaysWhatItReplays) {
  const auto whole = open_routing_source(spec_of(dir_ / "p"), 2, 4, 1);
  EXPECT_EQ(whole->info().model, "toy");
  EXPECT_EQ(whole->info().origin, "trace");
  EXPECT_EQ(whole->info().layers, 2);
  EXPECT_TRUE(whole->info().has_weights);
  EXPECT_EQ(whole->info().draw, "every rank reads whole recorded sequences one after the other");
  EXPECT_EQ(
      open_routing_source(spec_of(dir_ / "p", TraceDraw::kTokens), 2, 4, 1)->info().draw,
      "every rank holds 4 recorded sequences, each as far as chance has it, and takes one "
      "token of each a step; 3 sequences for 8 places, so some are read more than once at a time");
}

TEST_F(TokenSourceTest, WithoutRecordedWeightsThereAreNone) {
  write_pack(small_pack(dir_ / "q", false), "", false);
  const auto source = open_routing_source(spec_of(dir_ / "q"), 1, 4, 1);
  EXPECT_FALSE(source->info().has_weights);
  EXPECT_FALSE(source->route(0, 0).has_weights());
}

TEST_F(TokenSourceTest, HalfPrecisionWeightsAndWideIdsGiveTheSameRouting) {
  RoutePack wide = small_pack(dir_ / "w", false);
  std::vector<std::int32_t> ids;
  std::vector<std::uint16_t> halves;
  const RoutePack narrow = small_pack("", true);
  for (std::size_t i = 0; i < 40; ++i) {
    ids.push_back(number_at<std::uint8_t>(narrow.topk->data().data(), i));
    halves.push_back(float_to_half(number_at<float>(narrow.weights->data().data(), i)));
  }
  wide.topk = make_array(NumberType::kI4, {10, 2, 2}, ids);
  wide.weights = make_array(NumberType::kF2, {10, 2, 2}, halves);
  write_pack(wide, "", false);
  const Routing a = open_routing_source(spec_of(dir_ / "p"), 2, 4, 3)->route(2, 1);
  const Routing b = open_routing_source(spec_of(dir_ / "w"), 2, 4, 3)->route(2, 1);
  EXPECT_EQ(a.experts, b.experts);
  EXPECT_EQ(a.weights, b.weights);  // the weights of the small pack are exact in half precision
}

TEST_F(TokenSourceTest, DomainsKeepOnlyTheirSequences) {
  const auto source =
      open_routing_source(spec_of(dir_ / "p", TraceDraw::kSequences, {"b"}), 1, 4, 1);
  // Domain "b" is rows 3 and 4: experts 3 4, 4 5 in layer 0, twice.
  EXPECT_THAT(source->route(0, 0).experts, testing::ElementsAre(3, 4, 4, 5, 3, 4, 4, 5));
}

TEST_F(TokenSourceTest, UnknownDomainsAreAllNamedWithTheKnownOnes) {
  RoutePack pack = small_pack(dir_ / "q", false);
  pack.sequences[0].domain = pack.sequences[2].domain = "code";
  pack.sequences[1].domain = "prose";
  write_pack(pack, "", false);
  EXPECT_EQ(user_error(
                dir_,
                [&] {
                  (void)open_routing_source(
                      spec_of(dir_ / "q", TraceDraw::kSequences, {"kode", "code", "xyz"}), 1, 1, 1);
                }),
            "q: error: routing.domains: no domain \"kode\"; known: code, prose; did you mean "
            "\"code\"?\n"
            "q: error: routing.domains: no domain \"xyz\"; known: code, prose");
}

TEST_F(TokenSourceTest, TooManyAssignmentsForOneStepAreRefused) {
  EXPECT_EQ(
      user_error(dir_, [&] { (void)open_routing_source(spec_of(dir_ / "p"), 1024, 2'000'000, 1); }),
      "error: batch.tokens_per_rank: 2000000 tokens on each of 1024 ranks with top_k 2; at most "
      "2147483647 assignments a step");
}

TEST_F(TokenSourceTest, INV6SameArgumentsGiveTheSameRoutingFromAnyThreadInAnyOrder) {
  const auto source = open_routing_source(spec_of(dir_ / "p"), 3, 4, 9);
  std::vector<Routing> forward(20);
  std::vector<Routing> backward(20);
  std::thread other([&] {
    for (int i = 19; i >= 0; --i) {
      backward[static_cast<std::size_t>(i)] = source->route(i / 2, i % 2);
    }
  });
  for (int i = 0; i < 20; ++i) {
    forward[static_cast<std::size_t>(i)] = source->route(i / 2, i % 2);
  }
  other.join();
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(forward[i].experts, backward[i].experts);
    EXPECT_EQ(forward[i].weights, backward[i].weights);
  }
  const auto same_seed = open_routing_source(spec_of(dir_ / "p"), 3, 4, 9);
  EXPECT_EQ(same_seed->route(3, 1).experts, forward[7].experts);
}

TEST_F(TokenSourceTest, OtherSeedsDealOtherOrders) {
  std::map<std::vector<ExpertIndex>, int> seen;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    ++seen[open_routing_source(spec_of(dir_ / "p"), 3, 4, seed)->route(0, 0).experts];
  }
  EXPECT_GT(seen.size(), 3U);  // of the 6 orders of 3 sequences
}

TEST_F(TokenSourceTest, LoadCountsAssignmentsPerExpert) {
  const Routing routing = open_routing_source(spec_of(dir_ / "p"), 1, 10, 1)->route(0, 0);
  // Tokens 0..9 visit t % 8 and (t + 1) % 8: experts 0 and 1 get one more of each from 8 and 9.
  EXPECT_THAT(expert_load(routing), testing::ElementsAre(3, 4, 3, 2, 2, 2, 2, 2));
}

}  // namespace
}  // namespace moesim::traces
