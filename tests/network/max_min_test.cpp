// SPDX-License-Identifier: Apache-2.0
#include "sim/network/max_min.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "tests/network/random_systems.hpp"

namespace moesim {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

using Links = std::vector<LinkId>;

TEST(MaxMinRates, TwoFlowsOnALinkGetHalfEach) {
  const std::vector<BytesPerSecond> capacity{{100}};
  const Links only{{0}};
  const std::vector<FlowClass> classes{{.links = only}, {.links = only}};
  EXPECT_EQ(max_min_rates(capacity, classes), (std::vector<BytesPerSecond>{{50}, {50}}));
}

// Links of 100, 60, 90. A long flow crosses all three, one short flow each of them.
// Shares: 100/2, 60/2, 90/2: the second link is tightest, long = short 2 = 30.
// Then short 1 = 100 - 30 = 70, short 3 = 90 - 30 = 60.
TEST(MaxMinRates, ParkingLotOfThreeLinks) {
  const std::vector<BytesPerSecond> capacity{{100}, {60}, {90}};
  const Links all{{0}, {1}, {2}};
  const Links first{{0}};
  const Links second{{1}};
  const Links third{{2}};
  const std::vector<FlowClass> classes{
      {.links = all}, {.links = first}, {.links = second}, {.links = third}};
  EXPECT_EQ(max_min_rates(capacity, classes),
            (std::vector<BytesPerSecond>{{30}, {70}, {30}, {60}}));
}

// 4 flows on a link of 100, three of them one class: 25 each. The class of three also crosses a
// link of 60: 20 each there, so the fourth gets 100 - 60 = 40.
TEST(MaxMinRates, AClassCountsAsItsNumberOfFlows) {
  const std::vector<BytesPerSecond> capacity{{100}, {60}};
  const Links both{{0}, {1}};
  const Links first{{0}};
  const std::vector<FlowClass> classes{{.links = both, .num_flows = 3}, {.links = first}};
  EXPECT_EQ(max_min_rates(capacity, classes), (std::vector<BytesPerSecond>{{20}, {40}}));
}

// Three flows on a link of 90; caps 10 and 35. 10 is met first, then (90 - 10) / 2 = 40 > 35, so
// the second is at its cap too, and the third has 90 - 10 - 35 = 45.
TEST(MaxMinRates, ACapLeavesTheRestToTheOthers) {
  const std::vector<BytesPerSecond> capacity{{90}};
  const Links only{{0}};
  const std::vector<FlowClass> classes{
      {.links = only, .rate_cap = {10}}, {.links = only, .rate_cap = {35}}, {.links = only}};
  EXPECT_EQ(max_min_rates(capacity, classes), (std::vector<BytesPerSecond>{{10}, {35}, {45}}));
}

TEST(MaxMinRates, NoClassesGiveNoRates) {
  const std::vector<BytesPerSecond> capacity{{90}};
  EXPECT_TRUE(max_min_rates(capacity, {}).empty());
}

TEST(MaxMinRates, RefusesWhatIsNoSystem) {
  const std::vector<BytesPerSecond> good{{90}};
  const std::vector<BytesPerSecond> bad{{0}};
  const Links only{{0}};
  const Links beyond{{1}};
  const auto rates = [](const std::vector<BytesPerSecond>& capacity, const FlowClass& flows) {
    return [&capacity, flows] {
      const std::vector<FlowClass> classes{flows};
      return max_min_rates(capacity, classes);
    };
  };
  EXPECT_THAT(rates(bad, {.links = only}),
              ThrowsMessage<std::logic_error>(HasSubstr("a link has no finite capacity > 0")));
  EXPECT_THAT(rates(good, {.links = {}}),
              ThrowsMessage<std::logic_error>(HasSubstr("a flow crosses no link")));
  EXPECT_THAT(rates(good, {.links = beyond}),
              ThrowsMessage<std::logic_error>(HasSubstr("no such link")));
  EXPECT_THAT(rates(good, {.links = only, .num_flows = 0}),
              ThrowsMessage<std::logic_error>(HasSubstr("a class has no flow")));
  EXPECT_THAT(rates(good, {.links = only, .rate_cap = {0}}),
              ThrowsMessage<std::logic_error>(HasSubstr("a rate cap is not > 0")));
}

/// A random system as classes of 1 to 3 flows.
struct ClassSystem {
  testing::RandomSystem system;
  std::vector<FlowClass> classes;

  explicit ClassSystem(std::uint64_t seed)
      : system(testing::random_system(seed, {.max_links = 12, .max_flows = 30})) {
    RngStream rng(seed, "class sizes");
    for (const testing::RandomFlow& flow : system.flows) {
      classes.push_back({.links = flow.batch.links,
                         .num_flows = static_cast<std::int64_t>(1 + rng.below(3)),
                         .rate_cap = flow.rate_cap});
    }
  }

  [[nodiscard]] bool crosses(std::size_t c, std::size_t link) const {
    const auto links = classes[c].links;
    return std::find(links.begin(), links.end(), id_at<LinkId>(link)) != links.end();
  }
  [[nodiscard]] double load(std::size_t link, const std::vector<BytesPerSecond>& rate) const {
    double sum = 0.0;
    for (std::size_t c = 0; c < classes.size(); ++c) {
      sum += crosses(c, link) ? static_cast<double>(classes[c].num_flows) * rate[c].value : 0.0;
    }
    return sum;
  }
  /// The link is full and no flow on it is faster than class c: c cannot gain without a loser that
  /// has no more than c.
  [[nodiscard]] bool is_bottleneck(std::size_t link,
                                   std::size_t c,
                                   const std::vector<BytesPerSecond>& rate) const {
    for (std::size_t other = 0; other < classes.size(); ++other) {
      if (crosses(other, link) && rate[other].value > rate[c].value * (1 + 1e-9)) {
        return false;
      }
    }
    return crosses(c, link) && load(link, rate) >= system.capacity[link].value * (1 - 1e-9);
  }
};

// 1e-9: rounding of at most 30 subtractions, times n eps, with ample room.
RC_GTEST_PROP(MaxMinRates, EveryFlowHasABottleneckLinkOrIsAtItsCapINV2, ()) {
  const ClassSystem s(*rc::gen::arbitrary<std::uint64_t>());
  const auto rate = max_min_rates(s.system.capacity, s.classes);
  for (std::size_t l = 0; l < s.system.capacity.size(); ++l) {
    RC_ASSERT(s.load(l, rate) <= s.system.capacity[l].value * (1 + 1e-9));
  }
  for (std::size_t c = 0; c < s.classes.size(); ++c) {
    RC_ASSERT(rate[c].value > 0.0);
    RC_ASSERT(rate[c] <= s.classes[c].rate_cap);
    bool held = rate[c] == s.classes[c].rate_cap;
    for (std::size_t l = 0; l < s.system.capacity.size(); ++l) {
      held = held || s.is_bottleneck(l, c, rate);
    }
    RC_ASSERT(held);
  }
}

RC_GTEST_PROP(MaxMinRates, DoublingCapacitiesAndCapsDoublesRatesExactlyINV4, ()) {
  ClassSystem s(*rc::gen::arbitrary<std::uint64_t>());
  const auto before = max_min_rates(s.system.capacity, s.classes);
  for (BytesPerSecond& c : s.system.capacity) {
    c = c * 2;
  }
  for (FlowClass& flows : s.classes) {
    flows.rate_cap = flows.rate_cap * 2;
  }
  const auto doubled = max_min_rates(s.system.capacity, s.classes);
  for (std::size_t c = 0; c < before.size(); ++c) {
    RC_ASSERT(doubled[c] == before[c] * 2);  // a power of two is exact in floating point
  }
}

RC_GTEST_PROP(MaxMinRates, ReversingTheClassesReversesTheRatesINV5, ()) {
  ClassSystem s(*rc::gen::arbitrary<std::uint64_t>());
  const auto rate = max_min_rates(s.system.capacity, s.classes);
  std::reverse(s.classes.begin(), s.classes.end());
  auto reversed = max_min_rates(s.system.capacity, s.classes);
  std::reverse(reversed.begin(), reversed.end());
  for (std::size_t c = 0; c < rate.size(); ++c) {
    RC_ASSERT(std::abs(reversed[c].value / rate[c].value - 1) < 1e-12);
  }
}

RC_GTEST_PROP(MaxMinRates, TheSameInputGivesTheSameBitsINV6, ()) {
  const ClassSystem s(*rc::gen::arbitrary<std::uint64_t>());
  RC_ASSERT(max_min_rates(s.system.capacity, s.classes) ==
            max_min_rates(s.system.capacity, s.classes));
}

}  // namespace
}  // namespace moesim
