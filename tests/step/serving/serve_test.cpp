// SPDX-License-Identifier: Apache-2.0
// Serving with step times made by hand: a step takes 10 ms whatever it holds, unless said.
#include "sim/step/serving/serve.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>

#include "tests/step/step_fixtures.hpp"

namespace moesim {
namespace {

constexpr double kStep = 0.01;

ServingSetup setup(std::int64_t kv_tokens = 1'000'000, int attention_groups = 1) {
  ServingSetup s;
  s.attention_groups = attention_groups;
  s.kv_tokens = kv_tokens;
  return s;
}

ServingRun run(
    const std::vector<Request>& requests,
    const ServingSetup& how,
    const StepTime& time = [](const GroupLoads&) { return seconds(kStep); }) {
  return serve(requests, how, time, nullptr, {});
}

double steps(SimTime time) {
  return time.to_seconds().value / kStep;
}

// The prompt's step yields the first token; two more steps the others.
TEST(Serve, OneRequestTakesItsPrefillAndAStepAToken) {
  const ServingRun one = run({{seconds(5), 100, 3}}, setup());
  const ServedRequest& r = one.requests[0];
  EXPECT_EQ(r.first_scheduled, r.arrival);
  EXPECT_DOUBLE_EQ(steps(r.first_token - r.arrival), 1);
  EXPECT_DOUBLE_EQ(steps(r.finished - r.arrival), 3);
  EXPECT_EQ(one.steps, 3);
  EXPECT_EQ(one.prefill_steps, 1);
  EXPECT_EQ(one.end, r.finished);
}

// 5,000 tokens in chunks of 2,048 are three steps; whole, with room for them, one.
TEST(Serve, APromptIsCutIntoChunks) {
  ServingSetup how = setup();
  EXPECT_DOUBLE_EQ(steps(run({{{}, 5000, 1}}, how).requests[0].first_token), 3);
  how.spec.max_batch_tokens = 8192;
  how.spec.chunk_tokens = 0;
  EXPECT_DOUBLE_EQ(steps(run({{{}, 5000, 1}}, how).requests[0].first_token), 1);
}

// The chunk leaves room for the decoding request, whose token comes first.
TEST(Serve, DecodingGoesOnBesideAChunk) {
  ServingSetup how = setup();
  how.spec.max_batch_tokens = how.spec.chunk_tokens = 100;
  std::vector<std::int64_t> tokens;
  const ServingRun two = run({{{}, 10, 5}, {{}, 150, 2}}, how, [&](const GroupLoads& loads) {
    std::int64_t sum = 0;
    for (const AttentionLoad& load : loads[0]) {
      sum += load.tokens();
    }
    tokens.push_back(sum);
    return seconds(kStep);
  });
  // 10 + 90 of the second prompt; 1 + its last 60; both decode, until the second has its two.
  EXPECT_EQ(tokens, (std::vector<std::int64_t>{100, 61, 2, 1, 1}));
  EXPECT_DOUBLE_EQ(steps(two.requests[1].first_token), 2);
  EXPECT_DOUBLE_EQ(steps(two.requests[0].finished), 5);
}

// Batches of 8 requests of 100 tokens take 100 steps: 8 tokens a step, whatever waits.
TEST(Serve, SaturatedThroughputIsTheBatchOverTheStepTime) {
  ServingSetup how = setup();
  how.spec.max_sequences = 8;
  const ServingRun full = run(std::vector<Request>(80, Request{{}, 1, 100}), how);
  EXPECT_EQ(full.steps, 10 * 100);
  EXPECT_DOUBLE_EQ(80 * 100 / full.end.to_seconds().value, 8 / kStep);
  EXPECT_EQ(full.busy, full.end);
}

// One prompt fills a step, so that requests queue for a server of constant service time S = 10 ms:
// mean wait rho S / (2 (1 - rho)) = 11.67 ms at rho = 0.7 (Pollaczek-Khinchine).
TEST(Serve, WaitsAsAnMD1Queue) {
  ServingSetup how = setup();
  how.spec.max_batch_tokens = how.spec.chunk_tokens = 1000;
  how.spec.rate = 70;
  how.spec.count = 100'000;
  how.spec.prompt_tokens = 1000;
  how.spec.output_tokens = 1;
  const ServingRun queue = run(poisson_arrivals(how.spec, 3), how);
  double wait = 0;
  for (const ServedRequest& r : queue.requests) {
    wait += (r.first_scheduled - r.arrival).to_seconds().value / 100'000;
  }
  // Standard error about 1.5 %; a step under way when a request comes delays all alike.
  EXPECT_NEAR(wait, 0.7 * kStep / (2 * 0.3), 0.05 * 0.01167);
}

// Each needs 29 places of 40. They fill them after ten tokens each; the second loses its 20, and
// comes back for 21 when the first is done: 1 + 10 + 9 steps, then 1 + 8.
TEST(Serve, AFullCacheSendsTheLastOneBack) {
  const ServingRun two = run({{{}, 10, 20}, {{}, 10, 20}}, setup(40));
  EXPECT_EQ(two.preemptions, 1);
  EXPECT_EQ(two.requests[1].preemptions, 1);
  EXPECT_DOUBLE_EQ(steps(two.requests[0].finished), 20);
  EXPECT_DOUBLE_EQ(steps(two.requests[1].finished), 29);
  EXPECT_DOUBLE_EQ(steps(two.requests[1].first_token), 1);
  EXPECT_EQ(two.prefilled_tokens, 10 + 10 + 21);
  EXPECT_EQ(two.most_kv_tokens, 40);
}

// 3 at a time, 4 steps each: ten requests take four rounds, whenever they say they come.
TEST(Serve, AConcurrencyHoldsRequestsBack) {
  ServingSetup how = setup();
  how.spec.concurrency = 3;
  const ServingRun ten = run(std::vector<Request>(10, Request{{}, 100, 4}), how);
  EXPECT_DOUBLE_EQ(steps(ten.end), 16);
  EXPECT_DOUBLE_EQ(steps(ten.requests[3].arrival), 4);
  EXPECT_DOUBLE_EQ(steps(ten.requests[9].finished - ten.requests[9].arrival), 4);
  EXPECT_EQ(ten.steps, 16);
}

TEST(Serve, WhatNeverFitsIsRejected) {
  const ServingRun one = run({{{}, 30, 12}, {{}, 30, 11}}, setup(40));
  EXPECT_TRUE(one.requests[0].rejected);
  EXPECT_EQ(one.requests[0].ep_group, -1);
  EXPECT_TRUE(one.requests[1].done);
  ServingSetup whole = setup();
  whole.spec.chunk_tokens = 0;
  EXPECT_TRUE(run({{{}, 2049, 1}}, whole).requests[0].rejected);
}

// Attention groups of an EP group step together; a request goes to the emptier one, or to each in
// turn.
TEST(Serve, RequestsAreDealtToAttentionGroups) {
  const std::vector<Request> three = {{{}, 100, 1}, {{}, 10, 1}, {{}, 10, 1}};
  ServingSetup how = setup(1000, 2);
  std::vector<std::size_t> groups;
  const ServingRun least = run(three, how, [&](const GroupLoads& loads) {
    groups.push_back(loads.size());
    return seconds(kStep);
  });
  EXPECT_EQ(groups, std::vector<std::size_t>{2});
  EXPECT_EQ(least.requests[0].attention_group, 0);
  EXPECT_EQ(least.requests[1].attention_group, 1);
  EXPECT_EQ(least.requests[2].attention_group, 1);
  how.spec.balance = BalanceRule::kRoundRobin;
  EXPECT_EQ(run(three, how).requests[2].attention_group, 0);
}

TEST(Serve, TheHostTakesItsTimeBetweenSteps) {
  ServingSetup how = setup();
  how.spec.step_overhead = seconds(kStep);
  EXPECT_DOUBLE_EQ(steps(run({{{}, 100, 3}}, how).requests[0].finished), 6);
}

// 1,000 tokens of 100 kB are 100 MB, 1 ms over NVLink's 100 GB/s, and 2 us of latency.
TEST(Serve, ACacheMovesFromPrefillToDecode) {
  StepModel step;
  step.cluster = build_cluster(testing::tiny_spec());
  step.constants.scale_up_efficiency = step.constants.scale_out_efficiency = 1;
  ServingSetup how = setup();
  how.spec.policy = ServingPolicy::kDisaggregated;
  how.spec.groups = 2;
  how.spec.prefill_groups = 1;
  how.kv_bytes_per_token = bytes(100'000);
  const ServingRun one = serve(std::vector<Request>{{{}, 1000, 3}, {seconds(1), 1000, 1}},
                               how,
                               [](const GroupLoads&) { return seconds(kStep); },
                               &step,
                               {});
  const ServedRequest& r = one.requests[0];
  EXPECT_EQ(r.first_token, ticks(seconds(kStep)));
  EXPECT_EQ(r.finished, ticks(seconds(kStep + 0.001 + 2e-6 + 2 * kStep)));
  EXPECT_EQ(r.ep_group, 1);
  EXPECT_EQ(one.moves, 1);  // the other one has its only token already
  EXPECT_EQ(one.requests[1].ep_group, 0);
}

// What loses its cache while it decodes goes through a prefilling group once more.
TEST(Serve, APreemptedRequestIsPrefilledAgainElsewhere) {
  StepModel step;
  step.cluster = build_cluster(testing::tiny_spec());
  step.constants.scale_up_efficiency = step.constants.scale_out_efficiency = 1;
  ServingSetup how = setup(40);
  how.spec.policy = ServingPolicy::kDisaggregated;
  how.spec.groups = 2;
  how.spec.prefill_groups = 1;
  how.kv_bytes_per_token = bytes(1);
  const ServingRun two = serve(std::vector<Request>(3, Request{{}, 10, 20}),
                               how,
                               [](const GroupLoads&) { return seconds(kStep); },
                               &step,
                               {});
  EXPECT_GE(two.preemptions, 1);
  EXPECT_EQ(two.moves, 3 + two.preemptions);
  for (const ServedRequest& r : two.requests) {
    EXPECT_TRUE(r.done);
    EXPECT_EQ(r.generated, 20);
  }
}

TEST(Serve, StopsWhenAsked) {
  const std::atomic<bool> stop{true};
  const ServingRun none = serve(std::vector<Request>{{{}, 1, 1}},
                                setup(),
                                [](const GroupLoads&) { return seconds(kStep); },
                                nullptr,
                                {.cancelled = &stop, .on_progress = {}});
  EXPECT_TRUE(none.partial);
  EXPECT_FALSE(none.requests[0].done);
}

struct Scene {
  std::vector<Request> requests;
  ServingSetup how;
};

Scene random_scene() {
  Scene scene;
  const int count = *rc::gen::inRange(1, 60);
  double now = 0;
  for (int i = 0; i < count; ++i) {
    now += *rc::gen::inRange(0, 40) * 1e-3;
    scene.requests.push_back({seconds(now),
                              *rc::gen::inRange<std::int64_t>(1, 80),
                              *rc::gen::inRange<std::int64_t>(1, 40)});
  }
  scene.how = setup(*rc::gen::inRange<std::int64_t>(120, 400), *rc::gen::inRange(1, 4));
  scene.how.spec.groups = *rc::gen::inRange(1, 3);
  scene.how.spec.max_batch_tokens = *rc::gen::inRange(20, 130);
  scene.how.spec.chunk_tokens = *rc::gen::inRange(1, scene.how.spec.max_batch_tokens + 1);
  scene.how.spec.max_sequences = *rc::gen::inRange(1, 20);
  scene.how.spec.interval = seconds(*rc::gen::inRange(1, 200) * 1e-3);
  return scene;
}

/// A time that goes with the tokens.
Seconds by_tokens(const GroupLoads& loads) {
  std::int64_t tokens = 0;
  for (const auto& group : loads) {
    for (const AttentionLoad& load : group) {
      tokens += load.tokens();
    }
  }
  return microseconds(1000 + 10 * static_cast<double>(tokens));
}

// INV-9 Little's law: the integral of the requests in the system is the sum of their times in it.
// INV-9 Every token asked for is generated, once; every prompt token is prefilled.
RC_GTEST_PROP(ServeProperties, LittlesLawAndConservationINV9, ()) {
  const Scene scene = random_scene();
  const ServingRun done = run(scene.requests, scene.how, by_tokens);
  double latencies = 0;
  std::int64_t outputs = 0;
  std::int64_t prompts = 0;
  for (const ServedRequest& r : done.requests) {
    RC_ASSERT(r.done && !r.rejected);
    RC_ASSERT(r.generated == r.request.output_tokens);
    RC_ASSERT(r.arrival <= r.first_scheduled && r.first_scheduled < r.first_token &&
              r.first_token <= r.finished);
    latencies += (r.finished - r.arrival).to_seconds().value;
    outputs += r.request.output_tokens;
    prompts += r.request.prompt_tokens;
  }
  double inside = 0;
  std::int64_t finished = 0;
  std::int64_t steps = 0;
  double busy = 0;
  for (const SeriesBin& bin : done.series) {
    inside += bin.waiting_s + bin.running_s;
    busy += bin.busy_s;
    finished += bin.finished;
    steps += bin.steps;
  }
  RC_ASSERT(std::abs(inside - latencies) < 1e-9 * (1 + latencies));
  RC_ASSERT(std::abs(busy - done.busy.to_seconds().value) < 1e-9);
  RC_ASSERT(finished == static_cast<std::int64_t>(done.requests.size()));
  RC_ASSERT(steps == done.steps);
  RC_ASSERT(done.most_kv_tokens <= scene.how.kv_tokens);
  const auto requests = static_cast<std::int64_t>(done.requests.size());
  if (done.preemptions == 0) {
    RC_ASSERT(done.decoded_tokens == outputs - requests);
    RC_ASSERT(done.prefilled_tokens == prompts);
  } else {
    RC_ASSERT(done.decoded_tokens >= outputs - requests - done.preemptions);
    RC_ASSERT(done.prefilled_tokens >= prompts);
  }
}

// A step kept whole holds what its loads said.
RC_GTEST_PROP(ServeProperties, KeptStepsAreWhatTheyWere, ()) {
  const Scene scene = random_scene();
  const ServingRun done = run(scene.requests, scene.how, by_tokens);
  RC_ASSERT(!done.kept.empty());
  for (const KeptStep& kept : done.kept) {
    RC_ASSERT(by_tokens(loads_of(kept.batch, Dtype::kBf16)) == kept.predicted);
    for (const auto& items : kept.batch) {
      for (const BatchItem& item : items) {
        const Request& r = done.requests[static_cast<std::size_t>(item.request)].request;
        RC_ASSERT(item.first_token + item.tokens < r.prompt_tokens + r.output_tokens);
      }
    }
  }
}

}  // namespace
}  // namespace moesim
