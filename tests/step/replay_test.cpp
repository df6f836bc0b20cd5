// SPDX-License-Identifier: Apache-2.0
#include "sim/step/replay.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <atomic>
#include <utility>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/step/step_memo.hpp"
#include "tests/step/random_steps.hpp"

namespace moesim {
namespace {

using testing::random_step;
using testing::RandomStep;

constexpr int kSteps = 12;

ReplayControl with_threads(int threads) {
  ReplayControl control;
  control.threads = threads;
  return control;
}

template <typename T>
std::vector<std::int64_t> ids_and_values(const std::vector<Hot<T>>& hot) {
  std::vector<std::int64_t> flat;
  for (const Hot<T>& h : hot) {
    flat.push_back(h.id.value);
    flat.push_back(static_cast<std::int64_t>(h.value));
  }
  return flat;
}

/// Every number of a spread and every hot spot, so that two results compare in one go.
std::vector<double> spreads(const LayerResult& layer) {
  std::vector<double> flat;
  for (const RankSpread& s : {layer.gate, layer.dispatch, layer.experts, layer.combine}) {
    flat.push_back(s.mean.value);
    flat.push_back(s.max.value);
  }
  flat.push_back(layer.dispatch_bound.value);
  flat.push_back(layer.combine_bound.value);
  flat.push_back(layer.gate_weight);
  flat.push_back(layer.dropped_weight.value_or(-1.0));
  flat.push_back(layer.rank_imbalance);
  flat.push_back(layer.expert_imbalance);
  return flat;
}

std::vector<std::int64_t> hot_transfers(const LayerResult& layer) {
  std::vector<std::int64_t> flat;
  for (const HotPair& pair : layer.hot_pairs) {
    flat.insert(flat.end(), {pair.source.value, pair.destination.value, pair.bytes});
  }
  for (const HotLink& link : layer.hot_links) {
    flat.insert(flat.end(), {link.id.value, link.bytes, ticks(link.busy).picoseconds});
  }
  return flat;
}

void expect_equal(const LayerResult& a, const LayerResult& b) {
  EXPECT_EQ(a.layer, b.layer);
  EXPECT_EQ(a.first_start, b.first_start);
  EXPECT_EQ(a.last_finish, b.last_finish);
  EXPECT_EQ(a.parts, b.parts);
  EXPECT_EQ(spreads(a), spreads(b));
  EXPECT_EQ(a.assignments, b.assignments);
  EXPECT_EQ(a.dropped, b.dropped);
  EXPECT_EQ(a.dispatch_bytes, b.dispatch_bytes);
  EXPECT_EQ(a.combine_bytes, b.combine_bytes);
  EXPECT_EQ(a.scale_out_bytes, b.scale_out_bytes);
  EXPECT_EQ(a.expert_load, b.expert_load);
  EXPECT_EQ(a.rank_tokens, b.rank_tokens);
  EXPECT_EQ(ids_and_values(a.hot_experts), ids_and_values(b.hot_experts));
  EXPECT_EQ(ids_and_values(a.hot_ranks), ids_and_values(b.hot_ranks));
  EXPECT_EQ(hot_transfers(a), hot_transfers(b));
}

void expect_equal(const StepResult& a, const StepResult& b) {
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.makespan, b.makespan);
  EXPECT_EQ(a.parts, b.parts);
  EXPECT_EQ(a.link_bytes, b.link_bytes);
  EXPECT_EQ(a.flows, b.flows);
  EXPECT_EQ(a.network_events, b.network_events);
  ASSERT_EQ(a.layers.size(), b.layers.size());
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    expect_equal(a.layers[l], b.layers[l]);
  }
}

TEST(Replay, OneThreadAndFourGiveTheSameResultsINV6) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    const RandomStep s = random_step(seed);
    const auto one = replay(s.model, kSteps, with_threads(1));
    const auto four = replay(s.model, kSteps, with_threads(4));
    ASSERT_EQ(one.size(), std::size_t{kSteps});
    ASSERT_EQ(four.size(), std::size_t{kSteps});
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(one[i].step, static_cast<int>(i));
      expect_equal(one[i], four[i]);
    }
    EXPECT_NE(one[0].makespan, one[1].makespan) << "the steps must differ";
  }
}

TEST(Replay, AStepOfAReplayIsThatStepAlone) {
  const RandomStep s = random_step(3);
  const auto all = replay(s.model, kSteps, with_threads(4));
  expect_equal(all[7], simulate_step(s.model, 7));
}

/// Repeats the first `period` steps of another source.
class PeriodicRouting final : public RoutingSource {
 public:
  PeriodicRouting(const RoutingSource& source, int period) : source_(source), period_(period) {}
  [[nodiscard]] const RoutingSourceInfo& info() const override { return source_.info(); }
  [[nodiscard]] Routing route(int step, int layer) const override {
    return source_.route(step % period_, layer);
  }

 private:
  const RoutingSource& source_;
  int period_;
};

TEST(Replay, StepsOfOneRoutingAreSimulatedOnceAndEqualThatStepAlone) {
  RandomStep s = random_step(8);
  const PeriodicRouting periodic(*s.routing, 5);
  s.model.routing = &periodic;
  for (const int threads : {1, 4}) {
    const auto all = replay(s.model, kSteps, with_threads(threads));
    for (int step = 0; step < kSteps; ++step) {
      const StepResult& result = all[static_cast<std::size_t>(step)];
      expect_equal(result, simulate_step(s.model, step));
      EXPECT_EQ(result.repeats, step < 5 ? -1 : step % 5);
    }
    EXPECT_NE(all[0].makespan, all[1].makespan) << "the steps must differ";
  }
}

TEST(StepMemo, GivesTheStepThatCameFirstWithTheseRoutings) {
  const RoutingDigest a{{1, 2}};
  const RoutingDigest b{{1, 3}};
  StepMemo memo;
  EXPECT_EQ(memo.claim({a, b}, 4), 4);
  EXPECT_EQ(memo.claim({b, a}, 2), 2);
  EXPECT_EQ(memo.claim({a}, 3), 3);
  EXPECT_EQ(memo.claim({a, b}, 1), 4);
}

TEST(RoutingDigest, TellsOfAnyValueThatDiffers) {
  const RandomStep s = random_step(9);
  Routing routing = s.routing->route(0, 0);
  routing.num_candidates = 1;
  routing.candidates.assign(static_cast<std::size_t>(routing.num_tokens()), 1);
  routing.candidate_weights.assign(routing.candidates.size(), 0.5F);
  const RoutingDigest digest = digest_of(routing);
  EXPECT_EQ(digest_of(Routing(routing)), digest);
  const auto expect_another = [&](const auto& change) {
    Routing other = routing;
    change(other);
    EXPECT_NE(digest_of(other), digest);
  };
  for (std::size_t i = 0; i < routing.experts.size(); ++i) {
    expect_another([&](Routing& r) { r.experts[i] ^= 1U; });
    expect_another([&](Routing& r) { r.weights[i] += 1.0F; });
  }
  for (std::size_t i = 0; i < routing.candidates.size(); ++i) {
    expect_another([&](Routing& r) { r.candidates[i] ^= 1U; });
    expect_another([&](Routing& r) { r.candidate_weights[i] += 1.0F; });
  }
  for (std::size_t i = 0; i < routing.token_begin.size(); ++i) {
    expect_another([&](Routing& r) { ++r.token_begin[i]; });
  }
  expect_another([](Routing& r) { ++r.num_experts; });
  expect_another([](Routing& r) { ++r.top_k; });
  expect_another([](Routing& r) { ++r.num_candidates; });
  expect_another([](Routing& r) { std::swap(r.experts.front(), r.experts.back()); });
  expect_another([](Routing& r) { r.experts.push_back(0); });
  expect_another([](Routing& r) { r.weights.clear(); });
}

TEST(Replay, ReportsEachStepOnce) {
  const RandomStep s = random_step(4);
  std::vector<int> done;
  const auto note = [&](int count, int total) {
    EXPECT_EQ(total, kSteps);
    done.push_back(count);
  };
  static_cast<void>(
      replay(s.model, kSteps, {.threads = 4, .cancelled = nullptr, .on_progress = note}));
  EXPECT_THAT(done, ::testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
}

TEST(Replay, StopsWhenCancelled) {
  const RandomStep s = random_step(5);
  std::atomic<bool> cancelled = false;
  int done = 0;
  const auto cancel_after_three = [&](int count, int /*total*/) {
    done = count;
    cancelled = count >= 3;
  };
  try {
    static_cast<void>(
        replay(s.model,
               kSteps,
               {.threads = 1, .cancelled = &cancelled, .on_progress = cancel_after_three}));
    FAIL() << "a cancelled replay went on";
  } catch (const Cancelled& error) {
    EXPECT_STREQ(error.what(), "interrupted");
  }
  EXPECT_EQ(done, 3);
}

TEST(Replay, CancelledDuringTheLastStepIsComplete) {
  const RandomStep s = random_step(6);
  std::atomic<bool> cancelled = false;
  const auto cancel_at_the_end = [&](int count, int total) { cancelled = count == total; };
  const auto results =
      replay(s.model, 3, {.threads = 1, .cancelled = &cancelled, .on_progress = cancel_at_the_end});
  EXPECT_EQ(results.size(), 3U);
}

// With every NIC link down no rank reaches another node. Many times, since the step that throws
// must meet another that has just begun: TBB then cancels what is bound to the loop over steps.
TEST(Replay, AMistakeOfTheUserComesThroughTheThreads) {
  RandomStep s = random_step(7, {.single_switch = true});
  for (Link& link : s.model.cluster.links) {
    link.health = link.kind == LinkKind::kNic ? 0.0 : 1.0;
  }
  for (int i = 0; i < 200; ++i) {
    ASSERT_THROW(static_cast<void>(replay(s.model, kSteps, with_threads(4))), UserError);
  }
}

}  // namespace
}  // namespace moesim
