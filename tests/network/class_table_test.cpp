// SPDX-License-Identifier: Apache-2.0
// The parts that the fluid engine is made of.
#include "sim/network/class_table.hpp"

#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "sim/core/rng.hpp"
#include "sim/network/couplings.hpp"
#include "sim/network/due_times.hpp"
#include "sim/network/owned_heap.hpp"

namespace moesim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ClassTable, FlowsWithTheSameLinksAndCapAreAlike) {
  const std::vector<double> capacity{10, 20, 5};
  const std::vector<LinkId> path{{1}, {2}};
  const std::vector<LinkId> other{{1}};
  ClassTable table(3);
  const auto c = table.find_or_make({.links = path, .bytes = {1}, .latency = {}}, capacity);
  EXPECT_EQ(table.find_or_make({.links = path, .bytes = {9}, .latency = {3}}, capacity), c);
  EXPECT_NE(table.find_or_make({.links = other, .bytes = {1}, .latency = {}}, capacity), c);
  const auto capped =
      table.find_or_make({.links = path, .bytes = {1}, .latency = {}, .rate_cap = {7}}, capacity);
  EXPECT_NE(capped, c);
  // Links are numbered by first use: outer 1 and 2 are 0 and 1, the cap is a link of its own. The
  // narrowest comes first.
  EXPECT_THAT(table.links(c), ElementsAre(1, 0));
  EXPECT_THAT(table.links(capped), ElementsAre(1, 0, 2));
  EXPECT_EQ(table.cap(2), 7.0);
  EXPECT_EQ(table.narrowest(c), 1);  // 5 B/s
}

TEST(ClassTable, ListsTheClassesThatHaveFlows) {
  const std::vector<double> capacity{10, 20};
  const std::vector<LinkId> first{{0}};
  const std::vector<LinkId> both{{0}, {1}};
  ClassTable table(2);
  const auto a = table.find_or_make({.links = first, .bytes = {1}, .latency = {}}, capacity);
  const auto b = table.find_or_make({.links = both, .bytes = {1}, .latency = {}}, capacity);
  for (const auto c : {a, b}) {
    table[c].weight = 1;
    table.list(c);
  }
  EXPECT_THAT(table.crossing(0), ElementsAre(a, b));
  EXPECT_THAT(table.crossing(1), ElementsAre(b));
  table[b].weight = 0;
  EXPECT_THAT(table.crossing(0), ElementsAre(a));
  table[b].weight = 2;  // link 1 has not forgotten it, link 0 has
  table.list(b);
  EXPECT_THAT(table.crossing(0), ElementsAre(a, b));
  EXPECT_THAT(table.crossing(1), ElementsAre(b));
}

// Paths of one to four narrow links and up to two wide ones. Narrow links are in every signature of
// theirs, wide ones in none, so that only narrow ones have a mark to look for.
TEST(ClassTable, SignaturesMissNoLinkAndRarelyClaimOne) {
  std::vector<double> capacity(80, 10.0);
  std::fill(capacity.begin() + 40, capacity.end(), 20.0);
  ClassTable table(80);
  RngStream rng(6, "signatures");
  for (int i = 0; i < 300; ++i) {
    std::vector<LinkId> path;
    const auto add = [&](std::uint64_t first) {
      const LinkId link{static_cast<std::int32_t>(first + rng.below(40))};
      if (std::find(path.begin(), path.end(), link) == path.end()) {
        path.push_back(link);
      }
    };
    for (std::uint64_t n = 1 + rng.below(4); n > 0; --n) {
      add(0);
    }
    for (std::uint64_t n = rng.below(3); n > 0; --n) {
      add(40);
    }
    table.find_or_make({.links = path, .bytes = {1}, .latency = {}}, capacity);
  }
  int claims = 0;
  int pairs = 0;
  for (std::int32_t link = 0; link < static_cast<std::int32_t>(table.num_links()); ++link) {
    const auto mark = table.mark_in_signatures(link);
    ASSERT_EQ(mark.has_value(), table.capacity(static_cast<std::size_t>(link)) == 10.0);
    for (std::int32_t c = 0; mark && c < static_cast<std::int32_t>(table.size()); ++c) {
      const auto links = table.links(c);
      const bool crosses = std::find(links.begin(), links.end(), link) != links.end();
      const bool may = ClassTable::may_have(table.signature(c), *mark);
      ASSERT_TRUE(may || !crosses);
      pairs += crosses ? 0 : 1;
      claims += may && !crosses ? 1 : 0;
    }
  }
  EXPECT_GT(pairs, 5000);
  EXPECT_LT(claims, pairs / 20);
}

TEST(MemberPool, GivesMembersInOrderOfFinishThenFlow) {
  MemberPool pool;
  RngStream rng(3, "members");
  std::vector<std::pair<double, int>> expected;
  std::int32_t heap = -1;
  for (int f = 0; f < 500; ++f) {
    const auto finish = static_cast<double>(rng.below(50));
    heap = pool.add(heap, finish, FlowId{f});
    expected.emplace_back(finish, f);
    if (f % 3 == 2) {  // removals in between, so that nodes are reused
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(pool[heap].flow.value, expected.front().second);
      heap = pool.remove_first(heap);
      expected.erase(expected.begin());
    }
  }
  std::sort(expected.begin(), expected.end());
  for (const auto& [finish, flow] : expected) {
    ASSERT_EQ(pool[heap].finish, finish);
    ASSERT_EQ(pool[heap].flow.value, flow);
    heap = pool.remove_first(heap);
  }
  EXPECT_EQ(heap, -1);
}

// Against a plain array, with keys enough for three blocks of blocks.
TEST(DueTimes, KnowTheFirstAndAllThatAreDue) {
  constexpr std::size_t kKeys = 2500;
  DueTimes due;
  std::vector<double> expected(kKeys, DueTimes::kNever);
  EXPECT_EQ(due.first(), DueTimes::kNever);
  for (std::size_t key = 0; key < kKeys; ++key) {
    due.add();
  }
  RngStream rng(4, "due");
  for (int step = 0; step < 3000; ++step) {
    const auto key = static_cast<std::size_t>(rng.below(step % 2 == 0 ? kKeys : 70));
    expected[key] = rng.below(4) == 0 ? DueTimes::kNever : static_cast<double>(rng.below(1000));
    due.set(key, expected[key]);
    const double first = *std::min_element(expected.begin(), expected.end());
    ASSERT_EQ(due.first(), first);
    for (std::size_t k = due.find(first, 0), e = 0;; k = due.find(first, k + 1), ++e) {
      while (e < kKeys && expected[e] > first) {
        ++e;
      }
      ASSERT_EQ(k, e);
      if (k == kKeys) {
        break;
      }
    }
  }
}

/// The same as a map, sorted.
std::map<std::int32_t, std::int32_t> as_map(const Couplings& couplings) {
  std::map<std::int32_t, std::int32_t> map;
  for (const Couplings::Entry& entry : couplings.entries()) {
    EXPECT_TRUE(map.emplace(entry.link, entry.flows).second) << "link " << entry.link << " twice";
  }
  return map;
}

TEST(Couplings, CountFlowsByLinkAndForgetAtZeroAsAMapDoes) {
  Couplings couplings;
  std::map<std::int32_t, std::int32_t> expected;
  RngStream rng(3, "couplings");
  for (int step = 0; step < 20000; ++step) {
    const auto link = static_cast<std::int32_t>(rng.below(step < 2000 ? 10 : 300) * 64);
    const auto flows = static_cast<std::int32_t>(rng.below(3)) - 1;
    const std::int32_t change = flows < 0 ? -std::min<std::int32_t>(2, expected[link]) : flows;
    if (change != 0) {
      couplings.add(link, change);
      expected[link] += change;
    }
    std::erase_if(expected, [](const auto& entry) { return entry.second == 0; });
    ASSERT_EQ(couplings.flows(link), expected.contains(link) ? expected[link] : 0);
    ASSERT_TRUE(couplings.may_have(link) || !expected.contains(link));
    if (step % 100 == 0) {
      ASSERT_EQ(as_map(couplings), expected);
    }
  }
  couplings.clear();
  EXPECT_THAT(couplings.entries(), IsEmpty());
  EXPECT_EQ(couplings.flows(64), 0);
}

TEST(Couplings, MostLinksThatAreNotThereAreTurnedAwayAtOnce) {
  Couplings couplings;
  EXPECT_FALSE(couplings.may_have(7));
  couplings.append(7, 1);
  EXPECT_TRUE(couplings.may_have(7));
  EXPECT_FALSE(couplings.may_have(8));
  couplings.clear();
  EXPECT_FALSE(couplings.may_have(7));
}

TEST(Couplings, MoreLinksThanTheIndexHoldsAreStillFound) {
  Couplings couplings;
  for (std::int32_t l = 0; l < 65600; ++l) {
    couplings.append(l, 1);
  }
  EXPECT_GT(couplings.flows(65599), 0);
  EXPECT_EQ(couplings.flows(65600), 0);
  for (std::int32_t l = 65599; l >= 65500; --l) {
    couplings.add(l, -1);
  }
  couplings.append(65599, 2);
  EXPECT_GT(couplings.flows(65499), 0);
  EXPECT_EQ(couplings.flows(65500), 0);
  EXPECT_GT(couplings.flows(65599), 0);
}

TEST(OwnedHeap, KeepsTheFirstTargetInFrontWhateverIsTakenOut) {
  OwnedHeap heap;
  OwnedHeap::Places place(200);
  RngStream rng(5, "owned");
  std::vector<double> target(200);
  for (std::int32_t c = 0; c < 200; ++c) {
    target[static_cast<std::size_t>(c)] = rng.uniform01();
    heap.append({.target = target[static_cast<std::size_t>(c)], .flow_class = c});
  }
  heap.make(place);
  for (std::int32_t c = 0; c < 200; c += 3) {
    heap.erase(c, place);
    target[static_cast<std::size_t>(c)] = 2.0;
  }
  for (std::int32_t c = 1; c < 200; c += 3) {
    target[static_cast<std::size_t>(c)] = rng.uniform01();
    heap.set_target(c, target[static_cast<std::size_t>(c)], place);
    EXPECT_EQ(heap.entry_of(c, place).target, target[static_cast<std::size_t>(c)]);
  }
  while (!heap.empty()) {
    const auto least = std::min_element(target.begin(), target.end());
    ASSERT_EQ(heap.front().target, *least);
    *least = 2.0;
    heap.erase(heap.front().flow_class, place);
  }
}

}  // namespace
}  // namespace moesim
