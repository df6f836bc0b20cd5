// SPDX-License-Identifier: Apache-2.0
// The store itself: what is written is read back, whoever writes at the same time.
#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/core.h>
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "sim/core/diagnostics.hpp"
#include "sim/study/process_name.hpp"
#include "tests/study/store_scene.hpp"

namespace moesim {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

class Stores : public StoreScene {};

template <typename Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const UserError& error) {
    return error.what();
  } catch (const EnvironmentError& error) {
    return std::string("environment: ") + error.what();
  }
  return "none";
}

TEST_F(Stores, GiveBackWhatWasPut) {
  enter({"k0", "k1", ""});
  const std::string long_report(100'000, 'x');
  finish("k0", {{"a", std::int64_t{3}}, {"b", 0.1}, {"c", "word"}, {"d", {}}}, long_report);
  store().finish("k1", {.refused = true, .text = "it does not fit", .metrics = {}}, 1);
  const std::vector<PointRecord> points = open()->points("study");
  ASSERT_EQ(points.size(), 3);
  EXPECT_EQ(points[0].state, PointState::kDone);
  EXPECT_EQ(points[0].seconds, 0.25);
  ASSERT_EQ(points[0].metrics.size(), 4);
  EXPECT_EQ(points[0].metrics[0].value, Scalar(std::int64_t{3}));
  EXPECT_EQ(points[0].metrics[1].value, Scalar(0.1));
  EXPECT_EQ(points[0].metrics[2].value, Scalar("word"));
  EXPECT_EQ(points[0].metrics[3].value, Scalar());
  EXPECT_EQ(points[1].state, PointState::kRefused);
  EXPECT_EQ(points[1].message, "it does not fit");
  EXPECT_EQ(points[2].state, PointState::kRefused);
  EXPECT_EQ(points[2].message, "refused at once");
  EXPECT_EQ(store().report("k0"), long_report);
  EXPECT_EQ(store().report("k1"), std::nullopt);
  EXPECT_EQ(store().report("nobody"), std::nullopt);
}

TEST_F(Stores, AStudyEnteredAgainKeepsResults) {
  enter({"k0", "k1"});
  finish("k1", {}, "r");
  enter({"k1", "k2", "k0"});
  EXPECT_THAT(states(), ElementsAre("done", "waiting", "waiting"));
}

TEST_F(Stores, AClaimHoldsUntilItsLeaseOrItsOwnerEnds) {
  enter({"k0"});
  const std::string here = this_process();
  const std::string elsewhere = "another-host pid:[1] 1 1";
  EXPECT_EQ(store().claim("k0", elsewhere, 60s), Claim::kTaken);
  EXPECT_EQ(open()->claim("k0", here, 60s), Claim::kHeld);
  store().renew(elsewhere, -1s);  // as if its minute were over
  EXPECT_EQ(store().claim("k0", here + "1", 60s), Claim::kTaken);
  EXPECT_EQ(store().claim("k0", here, 60s), Claim::kTaken);  // the owner with that start has ended
  store().give_back("k0", elsewhere);                        // not its own any more
  EXPECT_THAT(states(), ElementsAre("running"));
  store().give_back("k0", here);
  EXPECT_THAT(states(), ElementsAre("waiting"));
  finish("k0", {}, "r");
  EXPECT_EQ(store().claim("k0", here, 60s), Claim::kDecided);
}

TEST_F(Stores, TheFirstResultStays) {
  enter({"k0"});
  finish("k0", {}, "first");
  finish("k0", {}, "second");
  EXPECT_EQ(store().report("k0"), "first");
  store().forget({"k0"});
  EXPECT_THAT(states(), ElementsAre("waiting"));
  finish("k0", {}, "third");
  EXPECT_EQ(store().report("k0"), "third");
}

TEST_F(Stores, TakeOverOfAnotherStoreAddsWhatIsNew) {
  enter({"k0", "k1", "k2"});
  finish("k0", {{"time_s", 1.0}}, "zero");
  store().finish("k1", {.refused = true, .text = "no", .metrics = {}}, 1);
  const std::filesystem::path other = file().string() + ".other";
  ResultStore second(other, ResultStore::Mode::kWrite);
  second.enter(
      {.name = "study", .keys = {"n"}, .metrics = {}},
      {{.key = "k0", .message = "", .settings = {}}, {.key = "k9", .message = "", .settings = {}}});
  EXPECT_EQ(second.take_over(file()), 2);
  EXPECT_EQ(second.report("k0"), "zero");
  EXPECT_EQ(second.points("study")[0].metrics.size(), 1);
  EXPECT_EQ(second.take_over(file()), 0);
}

TEST_F(Stores, TwoWritersAtOnceShareTheWork) {
  std::vector<std::string> keys;
  for (int i = 0; i < 40; ++i) {
    keys.push_back(fmt::format("k{}", i));
  }
  enter(keys);
  std::vector<int> taken(2);
  const auto write = [&](std::size_t writer) {
    const auto mine = open();
    for (const std::string& key : keys) {
      if (mine->claim(key, this_process(), 60s) == Claim::kTaken) {
        mine->finish(key, {.refused = false, .text = key, .metrics = {{"size", 1}}}, 0);
        ++taken[writer];
      }
    }
  };
  std::thread first(write, 0);
  std::thread second(write, 1);
  first.join();
  second.join();
  EXPECT_EQ(taken[0] + taken[1], 40);
  EXPECT_EQ(store().report("k39"), "k39");
}

TEST_F(Stores, ManyMayMakeTheSameFileAtOnce) {
  for (int round = 0; round < 20; ++round) {
    const std::filesystem::path fresh = fmt::format("{}.{}", file().string(), round);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { EXPECT_NO_THROW(ResultStore(fresh, ResultStore::Mode::kWrite)); });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
}

TEST_F(Stores, FilesThatAreNoneAreRefused) {
  const auto read = [](const std::filesystem::path& path, ResultStore::Mode mode) {
    return refusal([&] { const ResultStore store(path, mode); });
  };
  const std::filesystem::path none = file().string() + ".none";
  EXPECT_EQ(read(none, ResultStore::Mode::kRead),
            fmt::format("error: {} is no file; expected a result store, as moesim sweep makes",
                        none.string()));
  const std::filesystem::path text = file().string() + ".txt";
  std::ofstream(text) << "a text that is much longer than the header of a database, which has one "
                         "hundred bytes to say what it is\n";
  const std::filesystem::path foreign = file().string() + ".foreign";
  SQLite::Database(foreign.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE)
      .exec("CREATE TABLE t(x)");
  for (const auto mode : {ResultStore::Mode::kRead, ResultStore::Mode::kWrite}) {
    EXPECT_EQ(read(text, mode),
              fmt::format("error: {} is not a moesim result store", text.string()));
    EXPECT_EQ(read(foreign, mode),
              fmt::format("error: {} is not a moesim result store", foreign.string()));
  }
  SQLite::Database(file().string(), SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 9");
  EXPECT_EQ(
      read(file(), ResultStore::Mode::kRead),
      fmt::format("error: {} has the form 9 of another moesim; this one reads 1", file().string()));
  const std::filesystem::path nowhere = "/nonexistent/results.sqlite";
  EXPECT_EQ(read(nowhere, ResultStore::Mode::kWrite),
            "environment: store /nonexistent/results.sqlite: unable to open database file");
}

}  // namespace
}  // namespace moesim
