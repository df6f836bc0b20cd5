// SPDX-License-Identifier: Apache-2.0
// Prefix caches in serving, with steps of 10 ms whatever they hold.
#include "sim/step/serving/prefix_cache.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "sim/step/serving/serve.hpp"

namespace moesim {
namespace {

constexpr double kStep = 0.01;

ServingSetup setup(std::int64_t kv_tokens) {
  ServingSetup s;
  s.kv_tokens = kv_tokens;
  return s;
}

ServingRun run(
    const std::vector<Request>& requests,
    const ServingSetup& how,
    const StepTime& time = [](const GroupLoads&) { return seconds(kStep); }) {
  return serve(requests, how, time, nullptr, {});
}

// Blocks given back are the first to go, the last of a chain before its beginning; those held stay.
TEST(PrefixCache, HoldsAndDropsBlocks) {
  PrefixCache cache;
  const std::vector<std::int64_t> chain = {1, 2, 3};
  const std::vector<std::int64_t> other = {1, 4};
  EXPECT_EQ(cache.matched(chain), 0);
  EXPECT_EQ(cache.hold(chain), 3);
  EXPECT_EQ(cache.hold(other), 1);
  EXPECT_EQ(cache.give_back(chain), 2);
  EXPECT_EQ(cache.unheld(), 2);
  EXPECT_EQ(cache.matched(chain), 3);
  EXPECT_EQ(cache.not_held(chain), 2);
  cache.shrink(1);
  EXPECT_EQ(cache.matched(chain), 2);
  EXPECT_EQ(cache.dropped(), 1);
  EXPECT_EQ(cache.give_back(other), 2);
  cache.shrink(0);
  EXPECT_EQ(cache.matched(other), 0);
}

ServingSetup with_prefixes(std::int64_t kv_tokens = 1'000'000) {
  ServingSetup how = setup(kv_tokens);
  how.spec.prefix_cache = true;
  how.spec.prefix_block = 10;
  how.spec.max_batch_tokens = how.spec.chunk_tokens = 100;
  return how;
}

// 35 tokens: three whole blocks. The second prompt shares two of them and computes its other 21
// tokens; the third is the first again, of which all but the last 5 are there.
TEST(PrefixCaches, PromptsBeginWithWhatIsThere) {
  std::vector<std::int64_t> tokens;
  const ServingRun three = run({{seconds(0), 35, 1, {1, 2, 3, 4}},
                                {seconds(1), 41, 1, {1, 2, 5, 6, 7}},
                                {seconds(2), 35, 1, {1, 2, 3, 4}}},
                               with_prefixes(),
                               [&](const GroupLoads& loads) {
                                 tokens.push_back(loads[0][0].new_tokens);
                                 EXPECT_EQ(loads[0][0].context, tokens.size() == 2 ? 41 : 35);
                                 return seconds(kStep);
                               });
  EXPECT_EQ(tokens, (std::vector<std::int64_t>{35, 21, 5}));
  EXPECT_EQ(three.prefix_hits, 20 + 30);
  EXPECT_EQ(three.admitted_tokens, 35 + 41 + 35);
  EXPECT_EQ(three.dropped_blocks, 0);
}

// Of 40 tokens in whole blocks the last one is computed again, as a block; a prompt under way
// shares nothing yet.
TEST(PrefixCaches, TheLastTokenIsComputed) {
  const ServingRun two =
      run({{seconds(0), 40, 1, {1, 2, 3, 4}}, {seconds(1), 40, 1, {1, 2, 3, 4}}}, with_prefixes());
  EXPECT_EQ(two.prefilled_tokens, 40 + 10);
  const ServingRun at_once =
      run({{seconds(0), 40, 1, {1, 2, 3, 4}}, {seconds(0), 40, 1, {1, 2, 3, 4}}}, with_prefixes());
  EXPECT_EQ(at_once.prefilled_tokens, 80);
}

// Room for 50: blocks of the first prompt (4 of them) give way to the second's 30 tokens, from the
// end of the chain on, so that its beginning is still there for the third.
TEST(PrefixCaches, TheEndOfTheOldestChainGivesWay) {
  const ServingRun three = run({{seconds(0), 40, 1, {1, 2, 3, 4}},
                                {seconds(1), 30, 1, {5, 6, 7}},
                                {seconds(2), 40, 1, {1, 2, 3, 4}}},
                               with_prefixes(50));
  EXPECT_EQ(three.prefix_hits, 20);
  EXPECT_EQ(three.most_kv_tokens, 40);
  EXPECT_GE(three.dropped_blocks, 2);
}

// Two requests at a time hold 40 shared tokens once: 40 + 2 * (5 + 19 outputs) fit 90, twice 64 do
// not.
TEST(PrefixCaches, SharedBlocksAreHeldOnce) {
  std::vector<Request> all(3, Request{seconds(1), 45, 21, {1, 2, 3, 4, 5}});
  all[0] = {seconds(0), 45, 1, {1, 2, 3, 4, 5}};
  const ServingRun shared = run(all, with_prefixes(90));
  EXPECT_EQ(shared.preemptions, 0);
  EXPECT_EQ(shared.most_kv_tokens, 88);
  EXPECT_EQ(shared.requests[1].finished, shared.requests[2].finished);
  ServingSetup alone = with_prefixes(90);
  alone.spec.prefix_cache = false;
  EXPECT_NE(run(all, alone).requests[1].finished, run(all, alone).requests[2].finished);
}

// A prompt goes where it is there, though more lies there.
TEST(PrefixCaches, ABalanceThatKnowsThemKeepsPromptsTogether) {
  ServingSetup how = with_prefixes();
  how.attention_groups = 2;
  how.spec.balance = BalanceRule::kPrefix;
  const ServingRun two = run({{seconds(0), 40, 1, {1, 2, 3, 4}},
                              {seconds(0.5), 50, 100, {9, 10, 11, 12, 13}},
                              {seconds(1), 50, 1, {9, 10, 11, 12, 14}}},
                             how);
  EXPECT_EQ(two.requests[1].attention_group, 0);
  EXPECT_EQ(two.requests[2].attention_group, 0);
  EXPECT_EQ(two.prefix_hits, 40);
}

// Blocks of a name each, requests of up to 8 of them from few names, often preempted: with all done
// nothing is held, and no more than the cache is ever used.
RC_GTEST_PROP(PrefixTheorem, CachesAreNeverOverdrawnAndEverythingIsGivenBack, ()) {
  std::vector<Request> requests;
  for (int i = *rc::gen::inRange(1, 40); i-- > 0;) {
    std::vector<std::int64_t> blocks;
    std::int64_t chain = 0;
    const auto tokens = *rc::gen::inRange<std::int64_t>(1, 80);
    while (static_cast<std::int64_t>(blocks.size()) * 10 < tokens) {
      chain = chain * 2 + *rc::gen::inRange(1, 3);
      blocks.push_back(chain);
    }
    requests.push_back({seconds(0.02 * *rc::gen::inRange(0, 20)),
                        tokens,
                        *rc::gen::inRange<std::int64_t>(1, 30),
                        blocks});
  }
  std::stable_sort(requests.begin(), requests.end(), [](const Request& a, const Request& b) {
    return a.arrival < b.arrival;
  });
  const ServingRun with = run(requests, with_prefixes(120));
  RC_ASSERT(with.most_kv_tokens <= 120);
  RC_ASSERT(with.prefix_hits <= with.admitted_tokens);
  RC_ASSERT(with.prefilled_tokens <= with.admitted_tokens - with.prefix_hits);
  for (const ServedRequest& r : with.requests) {
    RC_ASSERT(r.done);
  }
}

}  // namespace
}  // namespace moesim
