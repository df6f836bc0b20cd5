// SPDX-License-Identifier: Apache-2.0
// The routing of single requests, from a pack and from the generator.
#include "sim/moe/request_routes.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <set>

#include "sim/moe/generate/generated_routes.hpp"
#include "sim/moe/traces/token_draw.hpp"
#include "tests/moe/traces/fixture.hpp"

namespace moesim::traces {
namespace {

std::vector<ExpertIndex> chosen(const RequestRoutes& routes,
                                std::int64_t request,
                                int layer,
                                std::int64_t first_token,
                                std::size_t tokens) {
  std::vector<ExpertIndex> experts(tokens * static_cast<std::size_t>(routes.info().top_k));
  routes.choose(request, layer, first_token, experts);
  return experts;
}

// Token t of the pack visits t mod 8 and (t + 3) mod 8 in layer 1.
TEST(PackRoutes, ReadASequenceRowByRowAndStartAgain) {
  const ScratchDir dir;
  const RoutePack pack = small_pack(dir.path() / "pack", false);
  write_pack(pack, "", false);
  RoutingSpec spec;
  spec.trace = pack.folder.string();
  const auto routes = open_pack_routes(spec, 5);
  const std::vector<TraceSequence> order = kept_sequences(pack, {}, 5);
  for (std::size_t i = 0; i < 6; ++i) {
    const TraceSequence& sequence = order[i % 3];
    std::vector<ExpertIndex> expected;
    for (std::int64_t t = 1; t < 1 + 2 * sequence.rows; ++t) {
      const std::int64_t row = sequence.row_start + t % sequence.rows;
      expected.push_back(static_cast<ExpertIndex>(row % 8));
      expected.push_back(static_cast<ExpertIndex>((row + 3) % 8));
    }
    EXPECT_EQ(chosen(*routes,
                     static_cast<std::int64_t>(i),
                     1,
                     1,
                     static_cast<std::size_t>(2 * sequence.rows)),
              expected);
  }
  EXPECT_EQ(routes->info().draw,
            "each request reads one of 3 recorded sequences, row by row, again from the start at "
            "its end");
}

TEST(PackRoutes, KeepToDomains) {
  const ScratchDir dir;
  const RoutePack pack = small_pack(dir.path() / "pack", false);
  write_pack(pack, "", false);
  const auto routes = open_pack_routes({.trace = pack.folder.string(), .domains = {"b"}}, 1);
  EXPECT_THAT(chosen(*routes, 7, 0, 0, 3), testing::ElementsAre(3, 4, 4, 5, 3, 4));
}

TEST(GeneratedRoutes, AreTheSameTokenByTokenInAnyOrder) {
  GeneratorSpec spec;
  spec.token_sigma = 1;
  spec.token_correlation = 0.5;
  spec.request_sigma = 1;
  const auto routes =
      generate::open_generated_routes(spec, {.num_experts = 16, .top_k = 2, .layers = 3}, 9);
  const std::vector<ExpertIndex> all = chosen(*routes, 4, 2, 10, 20);
  for (std::size_t t = 20; t-- > 0;) {
    EXPECT_THAT(chosen(*routes, 4, 2, 10 + static_cast<std::int64_t>(t), 1),
                testing::ElementsAre(all[2 * t], all[2 * t + 1]));
  }
  EXPECT_NE(chosen(*routes, 5, 2, 10, 20), all);
  EXPECT_NE(chosen(*routes, 4, 1, 10, 20), all);
}

}  // namespace
}  // namespace moesim::traces
