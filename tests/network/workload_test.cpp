// SPDX-License-Identifier: Apache-2.0
#include "sim/network/workload.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "tests/network/test_fabrics.hpp"

namespace moesim {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

double total_bytes(const std::vector<PairBytes>& transfers) {
  return std::accumulate(
      transfers.begin(), transfers.end(), 0.0, [](double sum, const PairBytes& transfer) {
        return sum + transfer.bytes.value;
      });
}

// z = 0: 64 experts on 16 GPUs, 8 distinct drawn. A GPU holds none of them with probability
// C(60, 8) / C(64, 8), so a token has a copy for it with p = 1 - 0.578 = 0.422: 1728 of 4096
// tokens, standard deviation sqrt(4096 p (1 - p)) = 31.6. Five of those: 158.
TEST(Workload, BalancedExpertsGiveEachPairTheExpectedCopies) {
  const auto transfers = make_workload({.gpus = 16, .skew = 0.0});
  ASSERT_EQ(transfers.size(), 16U * 15U);
  double none = 1.0;
  for (int i = 0; i < 8; ++i) {
    none *= static_cast<double>(60 - i) / static_cast<double>(64 - i);
  }
  for (const PairBytes& transfer : transfers) {
    EXPECT_NEAR(transfer.bytes.value / 7168, 4096 * (1 - none), 158);
    EXPECT_EQ(std::fmod(transfer.bytes.value, 7168), 0.0);
  }
}

TEST(Workload, SkewMakesHotGpus) {
  const auto hottest = [](double skew) {
    std::vector<double> received(64, 0.0);
    const auto transfers = make_workload({.gpus = 64, .tokens_per_gpu = 512, .skew = skew});
    for (const PairBytes& transfer : transfers) {
      received[transfer.target.index()] += transfer.bytes.value;
    }
    return *std::max_element(received.begin(), received.end()) * 64 / total_bytes(transfers);
  };
  EXPECT_LT(hottest(0.0), 1.1);
  EXPECT_GT(hottest(0.5), 2.0);
}

TEST(Workload, DistinctSizesAreDistinctAndUniformOnesKeepTheSum) {
  const WorkloadSpec tokens{.gpus = 16, .tokens_per_gpu = 256};
  WorkloadSpec distinct = tokens;
  distinct.sizes = WorkloadSizes::kDistinct;
  WorkloadSpec uniform = tokens;
  uniform.sizes = WorkloadSizes::kUniform;
  const auto whole = make_workload(tokens);
  const auto jittered = make_workload(distinct);
  const auto flat = make_workload(uniform);
  std::set<double> whole_sizes;
  std::set<double> jittered_sizes;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    whole_sizes.insert(whole[i].bytes.value);
    jittered_sizes.insert(jittered[i].bytes.value);
    EXPECT_LT(jittered[i].bytes.value - whole[i].bytes.value, 7168);
    EXPECT_EQ(flat[i].bytes, flat[0].bytes);
  }
  EXPECT_LT(whole_sizes.size(), whole.size());
  EXPECT_EQ(jittered_sizes.size(), whole.size());
  EXPECT_NEAR(total_bytes(flat) / total_bytes(whole), 1.0, 1e-12);
}

// 64 GPUs in 8 nodes: (source node, target GPU elsewhere) 8 * 56 and neighbours 64 * 7. What a GPU
// receives from other nodes is the same as without aggregation.
TEST(Workload, AggregatedMessagesCarryTheSameBytesBetweenNodes) {
  const WorkloadSpec flat{.gpus = 64, .tokens_per_gpu = 128};
  WorkloadSpec aggregated = flat;
  aggregated.aggregated = true;
  const auto received = [](const std::vector<PairBytes>& transfers) {
    std::vector<double> bytes(64, 0.0);
    for (const PairBytes& transfer : transfers) {
      const bool leaves_node = transfer.source.value / 8 != transfer.target.value / 8;
      bytes[transfer.target.index()] += leaves_node ? transfer.bytes.value : 0.0;
    }
    return bytes;
  };
  const auto merged = make_workload(aggregated);
  EXPECT_EQ(merged.size(), 8U * 56U + 64U * 7U);
  EXPECT_EQ(received(merged), received(make_workload(flat)));
  for (const PairBytes& transfer : merged) {
    const bool leaves_node = transfer.source.value / 8 != transfer.target.value / 8;
    EXPECT_TRUE(!leaves_node || transfer.source.value % 8 == transfer.target.value % 8);
  }
}

TEST(Workload, TheSameSpecGivesTheSameTransfersINV6) {
  const WorkloadSpec spec{.gpus = 16, .tokens_per_gpu = 64, .seed = 7};
  WorkloadSpec other = spec;
  other.seed = 8;
  const auto sizes = [](const WorkloadSpec& s) {
    std::vector<double> all;
    for (const PairBytes& transfer : make_workload(s)) {
      all.push_back(transfer.bytes.value);
    }
    return all;
  };
  EXPECT_EQ(sizes(spec), sizes(spec));
  EXPECT_NE(sizes(spec), sizes(other));
}

TEST(Workload, BecomesABatchOverAFabric) {
  const auto fabric = testing::rail(16);
  const std::vector<PairBytes> transfers{{.source = {0}, .target = {9}, .bytes = {7168}}};
  const auto flows = to_batch(transfers, fabric.path, microseconds(2));
  ASSERT_EQ(flows.size(), 1U);
  // scale-up out of 0 and into 1 (rail 1), then NIC 1 up and NIC 9 down
  EXPECT_EQ(flows[0].links, (std::vector<LinkId>{{0}, {17}, {33}, {57}}));
  EXPECT_EQ(flows[0].latency, microseconds(2));
}

TEST(Workload, RefusesWhatIsNoWorkload) {
  const auto refuses = [](const char* words) {
    return ThrowsMessage<std::logic_error>(HasSubstr(words));
  };
  const auto make = [](const WorkloadSpec& spec) { return [spec] { return make_workload(spec); }; };
  EXPECT_THAT(make({.gpus = 0}), refuses("a workload without GPUs"));
  EXPECT_THAT(make({.gpus = 12}), refuses("gpus is not a multiple of gpus_per_node"));
  EXPECT_THAT(make({.gpus = 8, .experts_per_gpu = 0}), refuses("a workload without experts"));
  EXPECT_THAT(make({.gpus = 8, .top_k = 33}),
              refuses("top_k is not within 1 and the number of experts"));
  EXPECT_THAT(make({.gpus = 8, .skew = -1}), refuses("a negative skew or empty copies"));
}

}  // namespace
}  // namespace moesim
