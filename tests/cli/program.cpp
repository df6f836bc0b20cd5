// SPDX-License-Identifier: Apache-2.0
#include "tests/cli/program.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "sim/core/atomic_file.hpp"

namespace moesim::cli_tests {
namespace {

/// In the child: never returns.
[[noreturn]] void become(const std::filesystem::path& folder,
                         const std::vector<char*>& arguments,
                         int out,
                         int err) {
  const bool ready = ::chdir(folder.c_str()) == 0 &&
                     ::setenv("MOESIM_DATA", (folder / "data").c_str(), 1) == 0 &&
                     ::dup2(out, STDOUT_FILENO) >= 0 && ::dup2(err, STDERR_FILENO) >= 0;
  if (ready) {
    ::execv(MOESIM_BINARY, arguments.data());
  }
  ::_exit(127);
}

/// Bit n-1 of the mask of caught signals, as Linux shows it.
bool catches(pid_t pid, int signal) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  const std::string key = "SigCgt:";
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key)) {
      return ((std::stoull(line.substr(key.size()), nullptr, 16) >> (signal - 1)) & 1U) != 0;
    }
  }
  return false;
}

}  // namespace

Program::Program(const std::filesystem::path& folder, const std::vector<std::string>& arguments)
    : out_(folder / ".stdout"), err_(folder / ".stderr") {
  std::vector<std::string> words = {"moesim"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  const int out = ::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const int err = ::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  pid_ = ::fork();
  if (pid_ == 0) {
    become(folder, pointers, out, err);
  }
  ::close(out);
  ::close(err);
  EXPECT_GT(pid_, 0);
}

Program::~Program() {
  if (!ended_ && pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status_, 0);
  }
}

void Program::send(int signal) const {
  EXPECT_EQ(::kill(pid_, signal), 0);
}

bool Program::comes_to_catch(int signal) {
  while (still_runs() && !catches(pid_, signal)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return !ended_;
}

bool Program::comes_to_use(double seconds) {
  clockid_t clock{};
  EXPECT_EQ(::clock_getcpuclockid(pid_, &clock), 0);
  timespec used{};
  while (still_runs() && ::clock_gettime(clock, &used) == 0 &&
         static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec) < seconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return !ended_;
}

bool Program::still_runs() {
  ended_ = ended_ || ::waitpid(pid_, &status_, WNOHANG) == pid_;
  return !ended_;
}

Outcome Program::wait() {
  if (!ended_) {
    EXPECT_EQ(::waitpid(pid_, &status_, 0), pid_);
    ended_ = true;
  }
  return outcome();
}

Outcome Program::outcome() const {
  return {.code = WIFEXITED(status_) ? WEXITSTATUS(status_) : -1,
          .signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0,
          .out = read_file(out_),
          .err = read_file(err_)};
}

Outcome run_program(const std::filesystem::path& folder,
                    const std::vector<std::string>& arguments) {
  return Program(folder, arguments).wait();
}

}  // namespace moesim::cli_tests
