// SPDX-License-Identifier: Apache-2.0
// What a person at a terminal sees: progress comes, and is gone when the program ends.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "tests/cli/scene.hpp"

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

}  // namespace
}  // namespace moesim::cli_tests
