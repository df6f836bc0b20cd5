// SPDX-License-Identifier: Apache-2.0
// Points of a study, the queue that hands them out, and the table of what they gave.
#include <fmt/core.h>
#include <gmock/gmock-more-matchers.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <set>

#include "sim/core/diagnostics.hpp"
#include "sim/step/replay.hpp"
#include "sim/study/process_name.hpp"
#include "sim/study/result_table.hpp"
#include "sim/study/sweep_run.hpp"
#include "sim/study/sweep_study.hpp"
#include "tests/study/store_scene.hpp"

namespace moesim {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

SweepSetting setting(const std::string& key, Scalar value) {
  return {.key = key, .value = std::move(value)};
}

std::string words(const SweepChoice& point) {
  std::string text;
  for (const SweepSetting& one : point) {
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", one.key, to_text(one.value));
  }
  return text;
}

std::vector<std::string> words(const SweepStudy& study) {
  std::vector<std::string> points;
  for (const SweepChoice& point : expand(study)) {
    points.push_back(words(point));
  }
  return points;
}

const SweepAxis kA = {{{setting("a", 1)}, {setting("a", 2)}}};
const SweepAxis kBoth = {
    {{setting("b", "x"), setting("c", 0.5)}, {setting("b", "y"), setting("c", 1.5)}}};

TEST(SweepStudies, AGridVariesItsLastAxisFastest) {
  const SweepStudy study{.base = {}, .axes = {kA, kBoth}, .points = {}, .seeds = {}};
  EXPECT_THAT(words(study),
              ElementsAre("a=1 b=x c=0.5", "a=1 b=y c=1.5", "a=2 b=x c=0.5", "a=2 b=y c=1.5"));
  EXPECT_EQ(num_points(study), 4);
  EXPECT_THAT(swept_keys(study), ElementsAre("a", "b", "c"));
}

TEST(SweepStudies, PointsComeBehindTheGridAndSeedsCrossBoth) {
  const SweepStudy study{.base = {setting("a", 0), setting("z", true)},
                         .axes = {kA},
                         .points = {{setting("q", 3)}},
                         .seeds = {setting("seed", 7), setting("seed", 8)}};
  EXPECT_THAT(words(study),
              ElementsAre("a=1 z=true seed=7",
                          "a=1 z=true seed=8",
                          "a=2 z=true seed=7",
                          "a=2 z=true seed=8",
                          "a=0 z=true q=3 seed=7",
                          "a=0 z=true q=3 seed=8"));
  EXPECT_EQ(num_points(study), 6);
  EXPECT_THAT(swept_keys(study), ElementsAre("a", "q", "seed"));
}

TEST(SweepStudies, WithoutGridOnlyThePointsCount) {
  EXPECT_THAT(words(SweepStudy{}), ElementsAre(""));
  EXPECT_EQ(num_points(SweepStudy{}), 1);
  const SweepStudy points{.base = {}, .axes = {}, .points = {{setting("a", 1)}}, .seeds = {}};
  EXPECT_THAT(words(points), ElementsAre("a=1"));
  EXPECT_EQ(num_points(points), 1);
}

TEST(SweepStudies, TheCountOfPointsDoesNotOverflow) {
  SweepStudy study;
  study.axes.assign(64, {std::vector<SweepChoice>(1000, {setting("a", 1)})});
  EXPECT_EQ(num_points(study), kMostPoints + 1);
}

TEST(Scalars, AreOrderedByValueAndReadAsTheyWereTyped) {
  const auto text = [](const char* word) { return scalar_of_text(word); };
  EXPECT_EQ(text("8"), Scalar(std::int64_t{8}));
  EXPECT_EQ(text("0.5"), Scalar(0.5));
  EXPECT_EQ(text("true"), Scalar(true));
  EXPECT_EQ(text("1 GB"), Scalar(std::string("1 GB")));
  EXPECT_TRUE(order_of(text("8"), text("8.0")) == 0);
  EXPECT_TRUE(order_of(text("9"), text("10")) < 0);
  EXPECT_TRUE(order_of(text("10"), text("a")) < 0);
  EXPECT_TRUE(order_of(text("a"), Scalar()) < 0);
  EXPECT_EQ(to_text(Scalar(0.1)), "0.1");
}

TEST(Processes, AreKnownToRunAndToHaveEnded) {
  const std::string here = this_process();
  EXPECT_FALSE(has_ended(here));
  EXPECT_TRUE(has_ended(here + "1"));                   // another start: the pid was used again
  EXPECT_FALSE(has_ended("another-host pid:[1] 1 1"));  // nothing is known of it
}

class Queue : public StoreScene {
 protected:
  const std::vector<std::string> keys_ = {"k0", "k1", "k2", "k3", "k4"};

  void SetUp() override { enter(keys_); }

  SweepTally run(const Evaluate& evaluate, SweepControl control = {}) {
    SweepQueue queue(store(), keys_);
    run_sweep(queue, evaluate, control);
    return queue.tally();
  }
};

TEST_F(Queue, EveryPointIsSimulatedOnceByAnyNumberOfThreads) {
  std::mutex mutex;
  std::multiset<std::size_t> seen;
  const auto evaluate = [&](std::size_t index) {
    const std::scoped_lock lock(mutex);
    seen.insert(index);
    return Evaluation{.refused = index == 3, .text = "r", .metrics = {}};
  };
  SweepTally tally = run(evaluate, {.threads = 4});
  EXPECT_EQ(tally.done, 5);
  EXPECT_EQ(tally.refused, 1);
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 3, 4));
  tally = run(evaluate, {.threads = 4});
  EXPECT_EQ(tally.done, 0);
  EXPECT_EQ(tally.known, 5);
}

TEST_F(Queue, APointThatThrowsEndsTheSweepAndIsFreeAgain) {
  const auto throws = [](std::size_t index) -> Evaluation {
    if (index == 2) {
      throw EnvironmentError("the disk is gone");
    }
    return {.refused = false, .text = "r", .metrics = {}};
  };
  EXPECT_THROW(run(throws, {.threads = 1}), EnvironmentError);
  const auto sound = [](std::size_t) {
    return Evaluation{.refused = false, .text = "r", .metrics = {}};
  };
  const SweepTally tally = run(sound);
  EXPECT_EQ(tally.known, 2);
  EXPECT_EQ(tally.done, 3);
}

TEST_F(Queue, AnInterruptedPointIsFreeAgain) {
  const std::atomic<bool> cancelled{true};
  EXPECT_EQ(run({}, {.threads = 1, .cancelled = &cancelled}).done, 0);
  const auto interrupts = [](std::size_t) -> Evaluation { throw Cancelled(); };
  EXPECT_THROW(run(interrupts, {.threads = 1}), Cancelled);
  EXPECT_THAT(states(), ElementsAre("waiting", "waiting", "waiting", "waiting", "waiting"));
}

TEST_F(Queue, StopsAtARefusalWhereAskedTo) {
  const auto refuses = [](std::size_t) {
    return Evaluation{.refused = true, .text = "no", .metrics = {}};
  };
  EXPECT_EQ(run(refuses, {.threads = 1, .stop_at_refusal = true}).done, 1);
}

TEST_F(Queue, WaitsForWhatAnotherProcessHasClaimedAndTakesItOverWhenThatEnds) {
  const std::string running = this_process();
  ASSERT_EQ(store().claim("k1", running, std::chrono::seconds(60)), Claim::kTaken);
  ASSERT_EQ(store().claim("k2", running + "1", std::chrono::seconds(60)), Claim::kTaken);
  SweepQueue queue(store(), keys_);
  for (const std::size_t index : {0U, 2U, 3U, 4U}) {
    const SweepQueue::Next next = queue.next();
    ASSERT_EQ(next.kind, SweepQueue::Kind::kWork);
    EXPECT_EQ(next.index, index);
    queue.finish(next.index, {.refused = false, .text = "r", .metrics = {}}, 1);
  }
  EXPECT_EQ(queue.next().kind, SweepQueue::Kind::kWait);
  store().finish("k1", {.refused = false, .text = "theirs", .metrics = {}}, 1);
  SweepQueue::Next next = queue.next();
  while (next.kind == SweepQueue::Kind::kWait) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    next = queue.next();
  }
  EXPECT_EQ(next.kind, SweepQueue::Kind::kNone);
  EXPECT_EQ(queue.tally().known, 1);
  EXPECT_EQ(queue.tally().done, 4);
}

class Table : public StoreScene {
 protected:
  void SetUp() override {
    enter({"k0", "k1", "k2", ""});
    finish("k0", {{"time_s", 2.5}, {"size", 10}}, R"({"time_s": 2.5, "list": [1, {"x": 4}]})");
    finish("k1", {{"time_s", 0.5}, {"size", 9}}, R"({"time_s": 0.5, "list": [2, {"x": 3}]})");
  }

  [[nodiscard]] std::vector<std::string> cells(const ResultQuery& query) const {
    std::vector<std::string> rows;
    for (const auto& row : query_results(store(), find_study(store(), ""), query).rows) {
      std::string text;
      for (const Scalar& cell : row) {
        text += fmt::format("{}{}", text.empty() ? "" : " ", to_text(cell));
      }
      rows.push_back(text);
    }
    return rows;
  }
  [[nodiscard]] std::string mistake(const ResultQuery& query) const {
    try {
      (void)cells(query);
    } catch (const UserError& error) {
      return error.what();
    }
    return "none";
  }
};

TEST_F(Table, ShowsEveryPointInOrder) {
  const ResultTable table = query_results(store(), find_study(store(), ""), {});
  EXPECT_THAT(table.columns, ElementsAre("point", "state", "n", "time_s", "size", "message"));
  EXPECT_EQ(table.points, 4);
  EXPECT_THAT(cells({.columns = {"point", "state", "n", "time_s", "size"}}),
              ElementsAre("0 done 0 2.5 10", "1 done 1 0.5 9", "2 waiting 2  ", "3 refused 3  "));
}

TEST_F(Table, FiltersAndSortsByValue) {
  EXPECT_THAT(cells({.columns = {"n"}, .where = {"size=9"}}), ElementsAre("1"));
  EXPECT_THAT(cells({.columns = {"n"}, .where = {"size < 10.5", "time_s >= 2.5"}}),
              ElementsAre("0"));
  EXPECT_THAT(cells({.columns = {"n"}, .where = {"size>10"}}), IsEmpty());
  EXPECT_THAT(cells({.columns = {"n"}, .where = {"state!=done"}}), ElementsAre("2", "3"));
  EXPECT_THAT(cells({.columns = {"n"}, .sort = "size"}), ElementsAre("1", "0", "2", "3"));
  EXPECT_THAT(cells({.columns = {"n"}, .sort = "n", .descending = true}),
              ElementsAre("3", "2", "1", "0"));
}

TEST_F(Table, TakesOtherColumnsOutOfTheReports) {
  EXPECT_THAT(cells({.columns = {"n", "list.1.x"}, .where = {"list.0=2"}}), ElementsAre("1 3"));
}

TEST_F(Table, SaysWhatIsWrongWithAQuestion) {
  EXPECT_EQ(mistake({.where = {"size"}}),
            "error: condition \"size\": expected COLUMN=VALUE, with =, !=, <, <=, > or >=");
  EXPECT_EQ(
      mistake({.columns = {"tim_s"}}),
      "error: column \"tim_s\": no point has it; did you mean \"time_s\"? columns: point, state, "
      "n, time_s, size, message, seconds; or a path into a report");
}

TEST_F(Table, AsksForAStudyWhereThereAreSeveral) {
  const auto refusal = [&](const std::string& name) -> std::string {
    try {
      return find_study(store(), name).name;
    } catch (const UserError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(refusal(""), "study");
  const std::filesystem::path fresh = file().string() + ".fresh";
  const ResultStore empty(fresh, ResultStore::Mode::kWrite);
  try {
    (void)find_study(empty, "");
    FAIL() << "found";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "error: the store holds no study");
  }
  store().enter({.name = "other", .keys = {}, .metrics = {}}, {});
  EXPECT_EQ(
      refusal(""),
      "error: the store holds several studies; choose one with --study: \"other\", \"study\"");
  EXPECT_EQ(refusal("x"), "error: no study \"x\" in the store; there are: \"other\", \"study\"");
  EXPECT_EQ(refusal("other"), "other");
}

}  // namespace
}  // namespace moesim
