// SPDX-License-Identifier: Apache-2.0
// One exchange alone: numbers derived by hand.
#include <gtest/gtest.h>

#include "hardware.hpp"
#include "sim/calibrate/collective.hpp"
#include "sim/calibrate/loads.hpp"
#include "sim/calibrate/predict_exchange.hpp"

namespace moesim::calibrate {
namespace {
using testing::ideal_constants;
using testing::small_spec;

/// 8 ranks, 8 MB a rank: 1 MB to each of 7 others over a 100 GB/s port, in 70 us; 1 us of path and
/// 10 us of start.
TEST(Exchange, OfAnAllToAllTakesStartPathAndBytesOverThePort) {
  Hardware hardware(small_spec());
  const ExchangeWork work = prepare_all_to_all(hardware.cluster(8), 8, 1'000'000);
  EXPECT_NEAR(predict_exchange(work, ideal_constants()).value, 81e-6, 1e-11);
  EXPECT_DOUBLE_EQ(bytes_per_rank(work), 7e6);
}

/// The same with 1 MB of overhead a message: 2 MB each, 140 us.
TEST(Exchange, HalvesTheRateOfMessagesAsLongAsTheirOverhead) {
  Hardware hardware(small_spec());
  const ExchangeWork work = prepare_all_to_all(hardware.cluster(8), 8, 1'000'000);
  CostConstants constants = ideal_constants();
  constants.message_overhead = bytes(1e6);
  EXPECT_NEAR(predict_exchange(work, constants).value, 151e-6, 1e-11);
}

/// 24 SMs at 2.5 GB/s copy 60 GB/s: 7 MB take 116.67 us, longer than the port's 70.
TEST(Exchange, LastsAsLongAsItsMultiprocessorsCopy) {
  Hardware hardware(small_spec());
  ExchangeWork work = prepare_all_to_all(hardware.cluster(8), 8, 1'000'000);
  work.dispatch.sms = 24;
  CostConstants constants = ideal_constants();
  constants.sm_copy_rate = gigabytes_per_second(2.5);
  EXPECT_NEAR(predict_exchange(work, constants).value, 10e-6 + 7e6 / 60e9, 1e-11);
  work.dispatch.sms = 48;  // 120 GB/s: the port binds again
  EXPECT_NEAR(predict_exchange(work, constants).value, 81e-6, 1e-11);
}

/// Each token of the balanced routing has one expert on each of 8 ranks: 7 copies leave. 64 tokens
/// of 1,000 B back to their owner: 448 kB in 4.48 us; 1 us of path, 10 + 3 us of start.
TEST(Exchange, OfACombineStartsLaterAndMovesItsOwnBytes) {
  Hardware hardware(small_spec());
  const Routing routing = balanced_routing({16, 8, 8}, 64);
  CopyBytes copy;
  copy.payload = 500;
  copy.combine = 1000;
  ExchangeWork work = prepare_exchange(hardware.cluster(8), {}, routing, copy);
  CostConstants constants = ideal_constants();
  constants.combine_extra_start = microseconds(3);
  EXPECT_NEAR(predict_exchange(work, constants).value, 11e-6 + 2.24e-6, 1e-11);
  work.combine = true;
  EXPECT_NEAR(predict_exchange(work, constants).value, 14e-6 + 4.48e-6, 1e-11);
}

TEST(Exchange, RepeatedRoutingsMoveThatManyTimesTheBytes) {
  Hardware hardware(small_spec());
  const Routing routing = uniform_routing({16, 2, 8}, 32, 1);
  CopyBytes copy;
  copy.payload = 500;
  const auto cluster = hardware.cluster(8);
  const ExchangeWork once = prepare_exchange(cluster, {}, routing, copy);
  const ExchangeWork thrice = prepare_exchange(cluster, {}, routing, copy, 3);
  EXPECT_GT(bytes_per_rank(once), 0);
  EXPECT_DOUBLE_EQ(bytes_per_rank(thrice), 3 * bytes_per_rank(once));
}

}  // namespace
}  // namespace moesim::calibrate
