// SPDX-License-Identifier: Apache-2.0
// What a person at a terminal sees: progress comes, and is gone when the program ends.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "tests/cli/plan_scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::HasSubstr;

class Terminal : public Scene {
 protected:
  /// All that the program writes to a terminal, standard output and error together.
  [[nodiscard]] std::string shown_by(std::vector<std::string> words) const {
    int master = -1;
    const pid_t pid = ::forkpty(&master, nullptr, nullptr, nullptr);
    if (pid == 0) {
      words.insert(words.begin(), "moesim");
      std::vector<char*> pointers;
      for (std::string& word : words) {
        pointers.push_back(word.data());
      }
      pointers.push_back(nullptr);
      const std::string data = folder() / "data";
      if (::chdir(folder().c_str()) == 0 && ::setenv("MOESIM_DATA", data.c_str(), 1) == 0) {
        ::execv(MOESIM_BINARY, pointers.data());
      }
      ::_exit(127);
    }
    std::string text;
    std::array<char, 4096> part{};
    // Reading fails with EIO once the program has closed its end.
    for (ssize_t n = 0; (n = ::read(master, part.data(), part.size())) > 0;) {
      text.append(part.data(), static_cast<std::size_t>(n));
    }
    ::close(master);
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0) << text;
    return text;
  }
};

constexpr const char* kWiped = "\r\033[K";

TEST_F(Terminal, TraceInfoNamesWhatItDoesAndWipesIt) {
  const std::string text = shown_by({"trace", "info", "pack"});
  EXPECT_THAT(text, HasSubstr("\r\033[Ktrace info: hashing\r\033[Ktrace info: measuring skew"));
  const std::size_t wiped = text.rfind(kWiped);
  ASSERT_NE(wiped, std::string::npos);
  EXPECT_THAT(text.substr(wiped), HasSubstr("MoE layers x"));
}

TEST_F(Terminal, TraceImportNamesWhatItDoesAndWipesIt) {
  const std::string text =
      shown_by({"trace", "import", "pack/topk.npy", "other", "--experts", "8"});
  EXPECT_THAT(text, HasSubstr("\r\033[Ktrace import: reading, checking and writing"));
  EXPECT_THAT(text.substr(text.rfind(kWiped)), HasSubstr("read as ids"));
}

/// Columns of a line: one a code point.
std::size_t columns(const std::string& line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned>(c) & 0xC0U) != 0x80U;
  }));
}

using Words = std::vector<std::string>;

/// What is set to make `run` one of a whole model.
Words whole(const char* kind, Words more = {}) {
  Words words = {"run", "scenario.toml", "--set", "batch.context_tokens=16", "--set"};
  words.emplace_back(std::string("step.kind=") + kind);
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// Tables of every command, with names that leave them no room.
TEST_F(Plans, NothingIsWiderThanEightyColumns) {
  write("study.toml",
        "scenario = \"scenario.toml\"\n"
        "metrics = [\"summary.step_s.mean\", \"summary.rank_imbalance_ratio\", "
        "\"steps.0.layers.0.phases.dispatch.max_s\", "
        "\"steps.0.layers.0.phases.experts.max_s\"]\n"
        "[set]\ncapacity.policy = \"drop\"\n"
        "[grid]\ncapacity.factor = [1.0, 2.0]\nbatch.tokens_per_rank = [8, 16]\n");
  write("cases.csv",
        "case,tier,scenario,set,quantity,measured,unit,source\n"
        "a name that is longer than what is left beside the other columns of it,a tier,"
        "scenario.toml,,steps.0.layers.0.phases.dispatch.max_s,100,us,made up\n");
  const std::vector<Words> commands = {
      {"run", "scenario.toml"},
      {"run", "scenario.toml", "--set", "capacity.policy=drop", "--set", "capacity.factor=1.0"},
      whole("decode",
            {"--set",
             "price.source=invented",
             "--set",
             "price.basis=assumed",
             "--set",
             "price.gpu_rent=2 USD/h"}),
      whole("train",
            {"--set", "batch.micro_batches=4", "--set", "parallel.ep=2", "--set", "parallel.pp=2"}),
      {"explain", "scenario.toml"},
      {"capacity", "scenario.toml", "--policies", "drop,spill,pad"},
      {"compare", "scenario.toml", "--set-b", "batch.tokens_per_rank=8", "--seeds", "2"},
      {"place", "scenario.toml", "--every", "1", "--threshold", "1.5", "--moves", "10"},
      {"plan", "plan.toml"},
      {"sweep", "study.toml", "--list"},
      {"sweep", "study.toml"},
      {"results", "study.sqlite", "--times"},
      {"results", "study.sqlite", "--studies"},
      {"check", "scenario.toml"},
      {"topology", "scenario.toml", "--bytes-per-pair", "1 MB"},
      {"validate", "cases.csv"},
      {"network-bench", "--gpus", "8"},
      {"measure", "--list"}};
  for (const Words& words : commands) {
    const Outcome outcome = moesim(words);
    EXPECT_EQ(outcome.code, 0) << words.front() << ": " << outcome.err;
    EXPECT_GT(outcome.out.size(), 0U) << words.front();
    std::stringstream lines(outcome.out + outcome.err);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(columns(line), 80U) << words.front() << ": " << line;
    }
  }
}

}  // namespace
}  // namespace moesim::cli_tests
