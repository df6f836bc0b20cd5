// SPDX-License-Identifier: Apache-2.0
// The rates of a running engine satisfy the max-min certificate, at random instants of small and of
// large runs. The condition is sufficient: rates that have it are the max-min fair ones.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "sim/core/rng.hpp"
#include "tests/network/certificate.hpp"
#include "tests/network/random_systems.hpp"
#include "tests/network/test_fabrics.hpp"

namespace moesim {
namespace {

using testing::certificate_breach;

/// Runs flows that start at random instants of `spread` and checks the certificate after about one
/// event in `every`. Returns the number of checks.
int check_run(const std::vector<BytesPerSecond>& capacity,
              std::vector<BatchFlow> flows,
              Seconds spread,
              std::uint64_t every) {
  RngStream rng(7, "certificate");
  for (BatchFlow& flow : flows) {
    flow.start = spread.value > 0 ? ticks(rng.uniform01() * spread) : SimTime{};
  }
  std::sort(flows.begin(), flows.end(), [](const BatchFlow& a, const BatchFlow& b) {
    return a.start < b.start;
  });
  FluidSharing network(capacity);
  std::size_t started = 0;
  int checks = 0;
  for (std::size_t drained = 0; drained < flows.size();) {
    for (; started < flows.size() && flows[started].start == network.now(); ++started) {
      network.start(id_at<FlowId>(started),
                    {.links = flows[started].links, .bytes = flows[started].bytes, .latency = {}});
    }
    drained +=
        network.advance(started < flows.size() ? flows[started].start : SimTime::never()).size();
    if (rng.below(every) == 0 &&
        (started == flows.size() || flows[started].start > network.now())) {
      drained += network.advance(network.now()).size();  // solves what has changed
      EXPECT_EQ(certificate_breach(network.share()), "") << "after " << drained << " drains";
      ++checks;
    }
  }
  return checks;
}

std::vector<BatchFlow> all_to_all(const testing::Fabric& fabric, const WorkloadSpec& spec) {
  return to_batch(make_workload(spec), fabric.path, seconds(0));
}

TEST(FairShare, HasTheCertificateAtRandomEventsOfLargeRunsINV2) {
  for (const auto& fabric : {testing::star(128), testing::rail(128), testing::fat_tree(128)}) {
    SCOPED_TRACE(fabric.name);
    const auto flows = all_to_all(fabric, {.gpus = 128, .tokens_per_gpu = 1024});
    EXPECT_GT(check_run(fabric.capacity, flows, {}, 60), 50);
  }
}

TEST(FairShare, HasTheCertificateWhenLoadsAreBalancedINV2) {
  const auto fabric = testing::rail(64);
  const WorkloadSpec spec{.gpus = 64, .skew = 0.0, .sizes = WorkloadSizes::kDistinct};
  EXPECT_GT(check_run(fabric.capacity, all_to_all(fabric, spec), {}, 40), 50);
}

TEST(FairShare, HasTheCertificateWhenFlowsStartAtAnyTimeINV2) {
  for (const auto& fabric : {testing::star(64), testing::rail(64), testing::fat_tree(64)}) {
    SCOPED_TRACE(fabric.name);
    const auto flows = all_to_all(fabric, {.gpus = 64, .tokens_per_gpu = 1024});
    EXPECT_GT(check_run(fabric.capacity, flows, microseconds(2000), 40), 100);
  }
}

// Two leaves, ECMP collisions: links in the middle of paths bind.
TEST(FairShare, HasTheCertificateWhereUplinksCollideINV2) {
  const auto fabric = testing::rail(512);
  const WorkloadSpec spec{.gpus = 512, .tokens_per_gpu = 512, .aggregated = true};
  EXPECT_GT(check_run(fabric.capacity, all_to_all(fabric, spec), {}, 200), 50);
}

RC_GTEST_PROP(FairShare, HasTheCertificateAfterEveryEventOfRandomSystemsINV2, ()) {
  const auto s = testing::random_system(*rc::gen::arbitrary<std::uint64_t>(),
                                        {.max_links = 20, .max_flows = 50, .staggered = false});
  FluidSharing network(s.capacity);
  for (std::size_t f = 0; f < s.flows.size(); ++f) {
    network.start(id_at<FlowId>(f),
                  {.links = s.flows[f].batch.links,
                   .bytes = s.flows[f].batch.bytes,
                   .latency = {},
                   .rate_cap = s.flows[f].rate_cap});
  }
  network.advance(network.now());
  for (std::size_t drained = 0; drained < s.flows.size();) {
    RC_ASSERT(certificate_breach(network.share()).empty());
    drained += network.advance(SimTime::never()).size();
    network.advance(network.now());
  }
}

// W (100 B/s) is crossed by a flow of its own and by flows that come through N1 and N2 (10 B/s
// each). While the first is there, W is full: 80 B/s for it. When it is gone the others can bring
// 20 B/s at most, and a change on N1 is no matter of W's any more, until a flow of its own starts.
TEST(FairShare, ALinkTooWideForTheRestOfItsFlowsIsNoLongerToldOfTheirChanges) {
  const std::vector<BytesPerSecond> capacity{{100}, {10}, {10}};
  const std::vector<LinkId> wide{{0}};
  const std::vector<LinkId> first{{0}, {1}};
  const std::vector<LinkId> second{{0}, {2}};
  FluidSharing network(capacity);
  network.start({0}, {.links = wide, .bytes = {100}, .latency = {}});
  network.start({1}, {.links = first, .bytes = {100}, .latency = {}});
  network.start({2}, {.links = first, .bytes = {300}, .latency = {}});
  network.start({3}, {.links = second, .bytes = {1000}, .latency = {}});
  EXPECT_EQ(network.advance(SimTime::never()).size(), 1U);
  network.advance(network.now());  // solves
  EXPECT_EQ(network.now(), SimTime{1'250'000'000'000});
  const auto updates = network.share().work().updates;
  EXPECT_EQ(network.share().work().reviews, 1);
  EXPECT_EQ(network.advance(SimTime::never()).size(), 1U);
  network.advance(network.now());
  EXPECT_EQ(network.now(), SimTime{20'000'000'000'000});
  EXPECT_EQ(network.share().work().updates, updates);
  network.start({4}, {.links = wide, .bytes = {1000}, .latency = {}});
  network.advance(network.now());
  EXPECT_EQ(certificate_breach(network.share()), "");
  EXPECT_EQ(network.share().rate(0), 80.0);  // class 0 again
}

// A wrong rate must be seen: with a tolerance below rounding the certificate fails.
TEST(FairShare, TheCertificateCanFail) {
  const std::vector<BytesPerSecond> capacity{{90}, {70}};
  const std::vector<LinkId> first{{0}};
  const std::vector<LinkId> both{{0}, {1}};
  FluidSharing network(capacity);
  network.start({0}, {.links = first, .bytes = {100}, .latency = {}});
  network.start({1}, {.links = both, .bytes = {100}, .latency = {}});
  network.advance({});
  EXPECT_EQ(certificate_breach(network.share()), "");
  EXPECT_EQ(certificate_breach(network.share(), -0.01), "link 0 is overloaded");
}

}  // namespace
}  // namespace moesim
