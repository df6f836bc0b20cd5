// SPDX-License-Identifier: Apache-2.0
// Generated routings: what each parameter does, against closed forms where there are any.
#include "sim/moe/generate/generator.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "sim/core/rng.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/generate/noise.hpp"
#include "sim/moe/traces/checks.hpp"
#include "sim/moe/traces/skew.hpp"

namespace moesim::generate {
namespace {

std::vector<ExpertIndex> tokens_of(const Generator& generator,
                                   const RequestId& who,
                                   std::int64_t first,
                                   std::int64_t tokens,
                                   int top_k) {
  std::vector<ExpertIndex> out(static_cast<std::size_t>(tokens * top_k));
  generator.choose(who, 0, generator.popularity(0, 0), first, {.experts = out});
  return out;
}

std::vector<double> shares(const std::vector<ExpertIndex>& ids, int experts) {
  std::vector<double> share(static_cast<std::size_t>(experts));
  for (const ExpertIndex id : ids) {
    share[id] += 1.0 / static_cast<double>(ids.size());
  }
  return share;
}

traces::RoutePack pack_of(const GeneratorSpec& spec, int experts, int top_k, int requests) {
  return generate_pack(spec,
                       {.num_experts = experts,
                        .top_k = top_k,
                        .layers = 4,
                        .sequences = generated_sequences(spec, requests)},
                       5);
}

TEST(Noise, TablesAreTheQuantilesOfTheirDistributions) {
  // Phi(1.959963985) = 0.975; the Gumbel median is -ln(ln 2) = 0.366513.
  EXPECT_NEAR(normal_quantile(0.975), 1.959963985, 1e-6);
  EXPECT_NEAR(normal_quantile(1e-12), -7.034483825, 1e-5);
  EXPECT_EQ(normal_quantile(0.5), 0.0);
  const NoiseTables& tables = noise_tables();
  ASSERT_EQ(tables.normal.size(), 65'536U);
  ASSERT_EQ(tables.gumbel.size(), 65'536U);
  EXPECT_TRUE(std::is_sorted(tables.gumbel.begin(), tables.gumbel.end()));
  EXPECT_NEAR(tables.gumbel[32'768] / double{kScoreOne}, 0.366513, 1e-4);
  double square = 0.0;
  double mean = 0.0;
  for (std::size_t i = 0; i < tables.normal.size(); ++i) {
    EXPECT_NEAR(tables.normal[i], -tables.normal[65'535 - i], 1);
    square += std::pow(tables.normal[i] / double{kScoreOne}, 2) / 65'536;
    mean += tables.gumbel[i] / double{kScoreOne} / 65'536;
  }
  EXPECT_NEAR(square, 1.0, 2e-4);     // the tails beyond the outermost quantiles are missing
  EXPECT_NEAR(mean, 0.577216, 2e-4);  // Euler's constant
}

TEST(Noise, TablesHaveTheSameBitsOnEveryPlatform) {
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < 65'536; ++i) {
    hash = mix_hash(hash, static_cast<std::uint64_t>(noise_tables().normal[i]));
    hash = mix_hash(hash, static_cast<std::uint64_t>(noise_tables().gumbel[i]));
  }
  EXPECT_EQ(hash, 8706437150421942353U);
}

TEST(Generator, ZipfOfOneChoiceHasTheSharesOfItsName) {
  // Gumbel top-1 picks expert e with probability e^a / sum e^a: 1, 1/2, 1/3, 1/4 over 25/12.
  GeneratorSpec spec;
  spec.kind = GeneratorKind::kZipf;
  const Generator generator(spec, 4, 1, 1);
  std::vector<double> share = shares(tokens_of(generator, {}, 0, 40'000, 1), 4);
  std::sort(share.rbegin(), share.rend());
  // Five standard errors of a share of 40,000 draws are 0.0125.
  EXPECT_NEAR(share[0], 0.48, 0.0125);
  EXPECT_NEAR(share[1], 0.24, 0.0125);
  EXPECT_NEAR(share[2], 0.16, 0.0125);
  EXPECT_NEAR(share[3], 0.12, 0.0125);
}

TEST(Generator, UniformChoosesEveryExpertAlike) {
  GeneratorSpec spec;
  spec.kind = GeneratorKind::kUniform;
  const Generator generator(spec, 16, 4, 1);
  for (const double share : shares(tokens_of(generator, {}, 0, 20'000, 4), 16)) {
    EXPECT_NEAR(share, 1.0 / 16, 0.005);
  }
}

TEST(Generator, OneHotExpertIsTheFirstChoiceOfEveryToken) {
  GeneratorSpec spec;
  spec.kind = GeneratorKind::kOneHot;
  const Generator generator(spec, 16, 3, 1);
  const std::vector<ExpertIndex> ids = tokens_of(generator, {}, 0, 1'000, 3);
  std::set<ExpertIndex> first;
  std::set<ExpertIndex> others;
  for (std::size_t i = 0; i < ids.size(); i += 3) {
    first.insert(ids[i]);
    others.insert({ids[i + 1], ids[i + 2]});
  }
  EXPECT_EQ(first.size(), 1U);
  EXPECT_EQ(others.size(), 15U);
}

TEST(Generator, GroupsLimitATokenToTheBestOfThem) {
  GeneratorSpec spec;
  spec.groups = 8;
  spec.top_groups = 2;
  const Generator generator(spec, 32, 4, 1);
  const std::vector<ExpertIndex> ids = tokens_of(generator, {}, 0, 2'000, 4);
  std::set<int> all;
  for (std::size_t i = 0; i < ids.size(); i += 4) {
    std::set<int> groups;
    for (std::size_t slot = 0; slot < 4; ++slot) {
      groups.insert(ids[i + slot] / 4);
    }
    ASSERT_LE(groups.size(), 2U);
    all.insert(groups.begin(), groups.end());
  }
  EXPECT_EQ(all.size(), 8U);
}

/// A hash of the choices and gate weights of 300 tokens.
std::uint64_t hash_of(const GeneratorSpec& spec, int experts, int top_k, int per_token) {
  const Generator generator(spec, experts, top_k, 7);
  std::vector<ExpertIndex> ids(static_cast<std::size_t>(300 * per_token));
  std::vector<float> weights(ids.size());
  generator.choose({3, 0},
                   1,
                   generator.popularity(1, 0),
                   0,
                   {.experts = ids, .weights = weights, .per_token = per_token});
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    hash = mix_hash(mix_hash(hash, ids[i]), std::bit_cast<std::uint32_t>(weights[i]));
  }
  return hash;
}

// Recorded from a version that compared every score with the list of the best so far.
TEST(Generator, ChoicesHaveTheSameBitsOnEveryPlatform) {
  GeneratorSpec spec;
  spec.kind = GeneratorKind::kUniform;
  EXPECT_EQ(hash_of(spec, 61, 5, 9), 13472730697601840342U);
  spec.groups = 8;
  spec.top_groups = 4;
  EXPECT_EQ(hash_of(spec, 256, 8, 8), 9056871695731001818U);
  EXPECT_EQ(hash_of(spec, 8, 2, 4), 15025167139886759258U);
  spec.kind = GeneratorKind::kLogNormal;
  spec.request_sigma = 0.5;
  spec.token_sigma = 1.0;
  spec.token_correlation = 0.8;
  spec.gate_weights = GateWeights::kAll;
  EXPECT_EQ(hash_of(spec, 72, 6, 36), 4283392989580001191U);
  spec.kind = GeneratorKind::kOneHot;
  spec.groups = 1;
  spec.top_groups = 1;
  EXPECT_EQ(hash_of(spec, 60, 4, 4), 1423435623960064872U);
}

GeneratorSpec correlated() {
  GeneratorSpec spec;
  spec.popularity_sigma = 0.5;
  spec.request_sigma = 0.5;
  spec.token_sigma = 2.0;
  spec.token_correlation = 0.8;
  spec.request_tokens = 256;
  return spec;
}

TEST(Generator, TokenNoiseFadesWithDistanceAsItsCorrelationSays) {
  const traces::RoutePack pack = pack_of(correlated(), 64, 4, 40);
  const std::vector<double> overlap = traces::overlap_by_lag(*pack.topk, pack.sequences, 64);
  EXPECT_GT(overlap[0], overlap[3] + 0.05);
  EXPECT_GT(overlap[3], overlap[15] + 0.05);
  // Excess over the far overlap falls with about 0.8^lag: 0.8^3 = 0.51 from lag 1 to 4.
  EXPECT_NEAR((overlap[3] - overlap[15]) / (overlap[0] - overlap[15]), 0.51, 0.08);
}

TEST(Generator, WithoutTokenNoiseNeighboursAreNoNearerThanOthers) {
  GeneratorSpec spec = correlated();
  spec.token_sigma = 0.0;
  const traces::RoutePack pack = pack_of(spec, 64, 4, 40);
  const std::vector<double> overlap = traces::overlap_by_lag(*pack.topk, pack.sequences, 64);
  EXPECT_NEAR(overlap[0], overlap[15], 0.01);
}

TEST(Generator, RequestTiltSkewsASequenceMoreThanTheWhole) {
  GeneratorSpec spec = correlated();
  spec.token_sigma = 0.0;
  spec.request_sigma = 1.5;
  const traces::SkewReport tilted = traces::measure_skew(pack_of(spec, 64, 4, 60));
  spec.request_sigma = 0.0;
  const traces::SkewReport flat = traces::measure_skew(pack_of(spec, 64, 4, 60));
  EXPECT_GT(tilted.tokens->one_sequence->median, 2.0 * tilted.max_over_mean.median);
  EXPECT_LT(flat.tokens->one_sequence->median, 1.5 * flat.max_over_mean.median);
}

TEST(Generator, DomainTiltSetsDomainsApart) {
  GeneratorSpec spec = correlated();
  spec.request_sigma = 0.0;
  spec.domains = 3;
  const double near =
      traces::measure_skew(pack_of(spec, 32, 4, 30)).tokens->domain_distance->median;
  spec.domain_sigma = 1.0;
  const double far = traces::measure_skew(pack_of(spec, 32, 4, 30)).tokens->domain_distance->median;
  EXPECT_LT(near, 0.1);
  EXPECT_GT(far, 0.3);
}

TEST(Generator, DriftKeepsTheVarianceAndEndsInAFreshDraw) {
  GeneratorSpec spec;
  spec.drift_steps = 100;
  const Generator generator(spec, 4096, 1, 1);
  const std::vector<std::int32_t> start = generator.popularity(0, 0);
  const auto correlation = [&](int step) {
    const std::vector<std::int32_t> now = generator.popularity(0, step);
    double product = 0.0;
    double square = 0.0;
    for (std::size_t e = 0; e < now.size(); ++e) {
      const double score = now[e] / double{kScoreOne};
      product += score * start[e] / kScoreOne / 4096;
      square += score * score / 4096;
    }
    EXPECT_NEAR(square, 1.0, 0.1) << step;
    return product;
  };
  EXPECT_NEAR(correlation(1), 1.0, 0.1);
  EXPECT_NEAR(correlation(50), 0.7071, 0.1);  // halfway: (1/2) / sqrt(1/2)
  EXPECT_NEAR(correlation(100), 0.0, 0.1);
}

RC_GTEST_PROP(Generator, AnyTokenIsTheSameWithoutThoseBeforeIt, ()) {
  const GeneratorSpec spec = correlated();
  const auto seed = *rc::gen::inRange<std::uint64_t>(0, 100);
  const auto first = *rc::gen::inRange<std::int64_t>(0, 40);
  const auto request = *rc::gen::inRange<std::int64_t>(0, 1'000'000);
  const Generator generator(spec, 20, 3, seed);
  const std::vector<ExpertIndex> whole = tokens_of(generator, {request, 0}, 0, 50, 3);
  const std::vector<ExpertIndex> tail = tokens_of(generator, {request, 0}, first, 50 - first, 3);
  RC_ASSERT(std::equal(tail.begin(), tail.end(), whole.begin() + first * 3));
}

RC_GTEST_PROP(Generator, ExpertsOfATokenDiffer, ()) {
  GeneratorSpec spec = correlated();
  spec.kind = *rc::gen::element(GeneratorKind::kUniform,
                                GeneratorKind::kZipf,
                                GeneratorKind::kLogNormal,
                                GeneratorKind::kOneHot);
  const auto experts = *rc::gen::inRange(1, 40);
  const auto top_k = *rc::gen::inRange(1, experts + 1);
  const Generator generator(spec, experts, top_k, 3);
  const std::vector<ExpertIndex> ids = tokens_of(generator, {}, 0, 10, top_k);
  for (std::size_t i = 0; i < ids.size(); i += static_cast<std::size_t>(top_k)) {
    const std::set<ExpertIndex> token(ids.begin() + static_cast<std::ptrdiff_t>(i),
                                      ids.begin() + static_cast<std::ptrdiff_t>(i) + top_k);
    RC_ASSERT(token.size() == static_cast<std::size_t>(top_k));
    RC_ASSERT(*token.rbegin() < experts);
  }
}

TEST(GeneratedSource, ReadsRequestsOnEveryRankStepAfterStep) {
  GeneratorSpec spec = correlated();
  spec.request_tokens = 6;
  const SourceShape wide{
      .num_experts = 16, .top_k = 2, .layers = 2, .ranks = 3, .tokens_per_rank = 8};
  SourceShape narrow = wide;
  narrow.tokens_per_rank = 4;
  const auto a = open_generated_source(spec, wide, TraceDraw::kSequences, 9);
  const auto b = open_generated_source(spec, narrow, TraceDraw::kSequences, 9);
  // One step of 8 tokens a rank reads what two steps of 4 read.
  const Routing whole = a->route(0, 1);
  const Routing first = b->route(0, 1);
  const Routing second = b->route(1, 1);
  for (std::int32_t rank = 0; rank < 3; ++rank) {
    for (std::int32_t i = 0; i < 4; ++i) {
      EXPECT_THAT(whole.of_token(rank * 8 + i),
                  testing::ElementsAreArray(first.of_token(rank * 4 + i)));
      EXPECT_THAT(whole.of_token(rank * 8 + 4 + i),
                  testing::ElementsAreArray(second.of_token(rank * 4 + i)));
    }
  }
}

TEST(GeneratedSource, HoldsARequestAPlaceUntilItEnds) {
  GeneratorSpec spec = correlated();
  spec.request_tokens = 4;
  spec.domains = 2;
  const SourceShape shape{
      .num_experts = 16, .top_k = 2, .layers = 1, .ranks = 2, .tokens_per_rank = 3};
  const auto source = open_generated_source(spec, shape, TraceDraw::kTokens, 9);
  const Generator generator(spec, 16, 2, 9);
  for (int step = 0; step < 9; ++step) {
    const Routing routing = source->route(step, 0);
    for (std::int32_t place = 0; place < 6; ++place) {
      const std::int64_t request = step / 4 * 6 + place;
      std::vector<ExpertIndex> expected(2);
      generator.choose({request, static_cast<int>(request % 2)},
                       0,
                       generator.popularity(0, step),
                       step % 4,
                       {.experts = expected});
      EXPECT_THAT(routing.of_token(place), testing::ElementsAreArray(expected));
    }
  }
}

TEST(Noise, ExpOfAScoreIsExpOfItsValue) {
  for (const std::int64_t score : {0LL, -1LL, -255LL, -256LL, -65'535LL, -65'536LL, -1'234'567LL}) {
    const double expected = std::exp(static_cast<double>(score) / kScoreOne);
    EXPECT_NEAR(score_exp(score), expected, 1e-14 * expected) << score;
  }
  EXPECT_EQ(score_exp(-45LL * kScoreOne), 0.0);
  EXPECT_EQ(score_exp(std::numeric_limits<std::int64_t>::min() + 1), 0.0);
}

TEST(GeneratedSource, SaysThatItIsGenerated) {
  GeneratorSpec spec;
  const SourceShape shape{
      .num_experts = 8, .top_k = 2, .layers = 3, .ranks = 2, .tokens_per_rank = 5};
  const auto by_hand = open_generated_source(spec, shape, TraceDraw::kSequences, 1);
  EXPECT_EQ(by_hand->info().origin, "generated");
  EXPECT_EQ(by_hand->info().draw,
            "generated, log-normal, popularity sigma 1, not fitted; every rank reads whole "
            "requests one after the other");
  spec.fitted_on = "gpt-oss-20b";
  const auto fitted = open_generated_source(spec, shape, TraceDraw::kTokens, 1);
  EXPECT_EQ(fitted->info().draw,
            "generated, fitted on gpt-oss-20b; every rank holds 5 requests and takes one token of "
            "each a step");
  EXPECT_EQ(fitted->info().layers, 3);
  EXPECT_EQ(fitted->info().fitted_on, "gpt-oss-20b");
}

}  // namespace
}  // namespace moesim::generate
