// SPDX-License-Identifier: Apache-2.0
// What must hold for any flows on the fluid engine.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

#include "sim/network/batch_parts.hpp"
#include "sim/network/network.hpp"
#include "sim/network/wide_links.hpp"
#include "tests/network/naive_messages.hpp"
#include "tests/network/naive_oracle.hpp"
#include "tests/network/random_systems.hpp"

namespace moesim {
namespace {

using testing::random_system;
using testing::RandomFlow;
using testing::RandomSystem;

std::vector<SimTime> finish_times(const RandomSystem& system) {
  return testing::run_capped(*make_network(NetworkEngine::kFluid, system.capacity), system.flows);
}

/// Up to 60 events of half a picosecond each, and 1e-9 of about a second.
bool is_near(SimTime a, double b_seconds) {
  return std::abs(a.to_seconds().value - b_seconds) <= 1e-9 * b_seconds + 6e-11;
}

SimTime makespan_of(const RandomSystem& system, const std::vector<SimTime>& finish) {
  SimTime first = SimTime::never();
  for (const RandomFlow& flow : system.flows) {
    first = std::min(first, flow.batch.start);
  }
  return *std::max_element(finish.begin(), finish.end()) - first;
}

RC_GTEST_PROP(Fluid, FinishesWhenTheNaiveOracleDoes, ()) {
  const RandomSystem s = random_system(*rc::gen::arbitrary<std::uint64_t>());
  const auto finish = finish_times(s);
  const auto expected = testing::NaiveOracle(s).run();
  for (std::size_t f = 0; f < finish.size(); ++f) {
    RC_ASSERT(is_near(finish[f], expected[f]));
  }
}

RC_GTEST_PROP(Fluid, FinishesWhenTheNaiveOracleDoesWithManyFlows, ()) {
  const RandomSystem s =
      random_system(*rc::gen::arbitrary<std::uint64_t>(), {.max_links = 25, .max_flows = 60});
  const auto finish = finish_times(s);
  const auto expected = testing::NaiveOracle(s).run();
  for (std::size_t f = 0; f < finish.size(); ++f) {
    RC_ASSERT(is_near(finish[f], expected[f]));
  }
}

// On one link nothing is lost and nothing idles: the last byte is out when a queue that serves
// `capacity` all the time is empty (Lindley's recursion over the starts).
RC_GTEST_PROP(Fluid, OneLinkCarriesItsBytesWithoutPauseINV1, ()) {
  RandomSystem s = random_system(*rc::gen::arbitrary<std::uint64_t>(),
                                 {.max_links = 1, .capped = false, .latencies = false});
  std::sort(s.flows.begin(), s.flows.end(), [](const RandomFlow& a, const RandomFlow& b) {
    return a.batch.start < b.batch.start;
  });
  double free_at = 0.0;
  for (const RandomFlow& flow : s.flows) {
    free_at = std::max(free_at, flow.batch.start.to_seconds().value) +
              flow.batch.bytes.value / s.capacity[0].value;
  }
  const auto finish = finish_times(s);
  RC_ASSERT(is_near(*std::max_element(finish.begin(), finish.end()), free_at));
}

RC_GTEST_PROP(Fluid, NeverBeatsTheBoundINV3, ()) {
  const RandomSystem s = random_system(*rc::gen::arbitrary<std::uint64_t>());
  const auto bound = makespan_bound(s.capacity, s.batch());
  const auto makespan = makespan_of(s, finish_times(s)).to_seconds();
  RC_ASSERT(bound.value > 0.0);
  RC_ASSERT(makespan.value >= bound.value * (1 - 1e-12) - 2e-11);  // the clock's rounding
}

RC_GTEST_PROP(Fluid, TwiceTheBandwidthAndHalfTheDelaysTakeHalfTheTimeINV4, ()) {
  RandomSystem s = random_system(*rc::gen::arbitrary<std::uint64_t>());
  const auto before = finish_times(s);
  for (BytesPerSecond& c : s.capacity) {
    c = c * 2;
  }
  for (RandomFlow& flow : s.flows) {
    flow.rate_cap = flow.rate_cap * 2;
    flow.batch.latency = flow.batch.latency / 2;
    flow.batch.start.picoseconds /= 2;
  }
  const auto halved = finish_times(s);
  for (std::size_t f = 0; f < before.size(); ++f) {
    RC_ASSERT(is_near(halved[f], before[f].to_seconds().value / 2));
  }
}

RC_GTEST_PROP(Fluid, RelabelledLinksAndFlowsFinishAtTheSameTimesINV5, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const RandomSystem s = random_system(seed);
  const auto before = finish_times(s);
  RngStream rng(seed, "relabelling");
  std::vector<std::size_t> new_link(s.capacity.size());
  std::iota(new_link.begin(), new_link.end(), std::size_t{0});
  shuffle(std::span(new_link), rng);
  std::vector<std::size_t> old_flow(s.flows.size());
  std::iota(old_flow.begin(), old_flow.end(), std::size_t{0});
  shuffle(std::span(old_flow), rng);

  RandomSystem relabelled = s;
  for (std::size_t l = 0; l < new_link.size(); ++l) {
    relabelled.capacity[new_link[l]] = s.capacity[l];
  }
  for (std::size_t f = 0; f < old_flow.size(); ++f) {
    relabelled.flows[f] = s.flows[old_flow[f]];
    for (LinkId& link : relabelled.flows[f].batch.links) {
      link = id_at<LinkId>(new_link[link.index()]);
    }
  }
  const auto after = finish_times(relabelled);
  for (std::size_t f = 0; f < old_flow.size(); ++f) {
    RC_ASSERT(is_near(after[f], before[old_flow[f]].to_seconds().value));
  }
}

// A private wide link makes every flow a class of its own, and changes no rate.
RC_GTEST_PROP(Fluid, ClassesAreNoMoreThanABookkeepingOfFlowsAlike, ()) {
  const RandomSystem s = random_system(*rc::gen::arbitrary<std::uint64_t>());
  RandomSystem apart = s;
  for (RandomFlow& flow : apart.flows) {
    flow.batch.links.push_back(id_at<LinkId>(apart.capacity.size()));
    apart.capacity.push_back({1e12});
  }
  const auto together = finish_times(s);
  const auto separate = finish_times(apart);
  for (std::size_t f = 0; f < together.size(); ++f) {
    RC_ASSERT(is_near(separate[f], together[f].to_seconds().value));
  }
}

RC_GTEST_PROP(Fluid, TheSameFlowsFinishAtTheSameTicksInAnyThreadINV6, ()) {
  const RandomSystem s = random_system(*rc::gen::arbitrary<std::uint64_t>());
  const auto alone = finish_times(s);
  std::vector<SimTime> first;
  std::vector<SimTime> second;
  std::thread one([&] { first = finish_times(s); });
  std::thread two([&] { second = finish_times(s); });
  one.join();
  two.join();
  RC_ASSERT(first == alone);
  RC_ASSERT(second == alone);
}

// Stopping at arbitrary instants moves nothing, and the clock never falls.
RC_GTEST_PROP(Fluid, SmallStepsReachTheSameTicksINV8, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  RandomSystem s = random_system(seed, {.staggered = false});
  const auto expected = finish_times(s);
  const auto network = make_network(NetworkEngine::kFluid, s.capacity);
  for (const RandomFlow& flow : s.flows) {
    network->start({.links = flow.batch.links,
                    .bytes = flow.batch.bytes,
                    .latency = flow.batch.latency,
                    .rate_cap = flow.rate_cap});
  }
  RngStream rng(seed, "steps");
  std::size_t done = 0;
  while (done < s.flows.size()) {
    const SimTime before = network->now();
    const SimTime limit = before + SimTime{static_cast<std::int64_t>(rng.below(200'000'000'000))};
    const auto completed = network->advance(limit);
    RC_ASSERT(network->now() >= before);
    RC_ASSERT(network->now() <= limit);
    RC_ASSERT(!completed.empty() || network->now() == limit);
    RC_ASSERT(std::is_sorted(completed.begin(), completed.end()));
    for (const FlowId id : completed) {
      RC_ASSERT(network->now() == expected[id.index()]);
    }
    done += completed.size();
  }
}

// Each link gets a neighbour on all its paths, at times before it and at times after it, that is as
// wide or wider. Nothing finishes at another time, in the parts or on the whole network.
RC_GTEST_PROP(PartedBatch, IsTheWholeNetworkWithoutTheLinksThatNeverBind, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  RandomSystem s = random_system(seed, {.max_links = 12, .max_flows = 40, .capped = false});
  RngStream rng(seed, "neighbours");
  const std::size_t num_links = s.capacity.size();
  std::vector<bool> is_before;
  for (std::size_t l = 0; l < num_links; ++l) {
    is_before.push_back(rng.below(2) == 0);
    s.capacity.push_back(s.capacity[l] * static_cast<double>(1 + rng.below(2)));
  }
  const auto whole = finish_times(s);
  for (RandomFlow& flow : s.flows) {
    std::vector<LinkId> links;
    for (const LinkId link : flow.batch.links) {
      const auto neighbour = id_at<LinkId>(num_links + link.index());
      links.push_back(is_before[link.index()] ? neighbour : link);
      links.push_back(is_before[link.index()] ? link : neighbour);
    }
    flow.batch.links = links;
  }
  const auto batch = s.batch();
  const auto never = links_that_never_bind(s.capacity, batch);
  RC_ASSERT(std::count(never.begin(), never.end(), true) > 0);
  const auto parts = PartedBatch({}, s.capacity, batch).run().finish;
  const auto stretched = finish_times(s);
  for (std::size_t f = 0; f < whole.size(); ++f) {
    RC_ASSERT(is_near(parts[f], whole[f].to_seconds().value));
    RC_ASSERT(is_near(stretched[f], whole[f].to_seconds().value));
  }
}

// To the tick, with ties, caps, late starts and lines of tens of chunks.
RC_GTEST_PROP(Message, FinishesWhenQueuesWrittenDownPlainlyDo, ()) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  const RandomSystem s = random_system(seed, {.max_links = 12, .max_flows = 40});
  RngStream rng(seed, "chunk");
  const double chunk = rng.below(2) == 0 ? 1e12 : 1.25e7 * static_cast<double>(1 + rng.below(8));
  const auto finish = testing::run_capped(
      *make_network({.engine = NetworkEngine::kMessage, .chunk = bytes(chunk)}, s.capacity),
      s.flows);
  RC_ASSERT(finish == testing::NaiveMessages(s, chunk).run());
}

}  // namespace
}  // namespace moesim
