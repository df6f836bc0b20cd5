// SPDX-License-Identifier: Apache-2.0
// What scenarios share, and for how long.
#include "sim/scenario/assembly_cache.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace moesim {
namespace {

/// A thousand tokens of one expert each; counts what is asked of it.
class ThousandTokens final : public RoutingSource {
 public:
  explicit ThousandTokens(int& drawn) : drawn_(drawn) {}
  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }
  [[nodiscard]] Routing route(int, int) const override {
    ++drawn_;
    Routing routing;
    routing.token_begin = {0, 1000};
    routing.experts.resize(1000);
    return routing;
  }

 private:
  int& drawn_;
  RoutingSourceInfo info_;
};

TEST(AssemblyCache, AFullCacheKeepsTheSourceThatIsAskedForAgain) {
  AssemblyCache cache(1);
  int drawn = 0;
  const auto use = [&](std::uint64_t seed) {
    Scenario scenario;
    scenario.seed = seed;
    const auto source =
        cache.routing(scenario, 1, 0, [&] { return std::make_unique<ThousandTokens>(drawn); });
    EXPECT_EQ(source->route(0, 0).experts.size(), 1000U);
    return cache.made().sources;
  };
  EXPECT_EQ(use(1), 1);
  EXPECT_EQ(use(1), 1);  // it is too large, but gone it would have to be drawn again
  EXPECT_EQ(use(2), 2);  // the first had to go
  EXPECT_EQ(use(2), 2);
  EXPECT_EQ(use(1), 3);
}

// A large window of loads, which a placement is trained on, would fill the memory.
TEST(AssemblyCache, AFullCacheHandsRoutingsOnWithoutKeepingThem) {
  AssemblyCache cache(1);
  int drawn = 0;
  const auto source =
      cache.routing(Scenario{}, 2, 0, [&] { return std::make_unique<ThousandTokens>(drawn); });
  (void)source->route(0, 0);
  (void)source->route(0, 0);
  EXPECT_EQ(drawn, 1);
  (void)source->route(0, 1);
  EXPECT_EQ(source->route(0, 1).experts.size(), 1000U);
  EXPECT_EQ(drawn, 3);
}

}  // namespace
}  // namespace moesim
