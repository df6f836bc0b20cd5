// SPDX-License-Identifier: Apache-2.0
#include "sim/network/child_process.hpp"

#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>

#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace {

constexpr int kExitOfFailedBody = 70;

[[noreturn]] void fail(const char* call) {
  throw EnvironmentError(fmt::format("{} failed: {}", call, std::strerror(errno)));
}

/// The child's side of the fork. Closes every descriptor but the standard three and its own: a
/// sibling's stream must end when we close it. `_exit` skips what belongs to the parent (buffers,
/// exit handlers).
[[noreturn]] void run_child(int fd, pid_t parent, const std::function<void(ByteStream&)>& body) {
  constexpr unsigned kFirstOther = 3;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) {
    _exit(0);
  }
  const auto own = static_cast<unsigned>(fd);
  if (own > kFirstOther) {
    close_range(kFirstOther, own - 1, 0);
  }
  close_range(own + 1, ~0U, 0);
  try {
    ByteStream stream(fd);
    body(stream);
  } catch (const std::exception&) {
    _exit(kExitOfFailedBody);
  }
  _exit(0);
}

}  // namespace

ByteStream::~ByteStream() {
  close(fd_);
}

void ByteStream::put_bytes(std::span<const std::byte> bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
}

void ByteStream::flush() {
  std::span<const std::byte> rest = pending_;
  while (!rest.empty()) {
    const ssize_t sent = send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent < 0) {
      fail("send to another process");
    }
    rest = rest.subspan(static_cast<std::size_t>(sent));
  }
  pending_.clear();
}

bool ByteStream::get_bytes(std::span<std::byte> bytes) {
  std::size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t n = recv(fd_, bytes.data() + got, bytes.size() - got, 0);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      fail("receive from another process");
    }
    if (n == 0 && got > 0) {
      throw EnvironmentError("another process ended in the middle of a message");
    }
    if (n == 0) {
      return false;
    }
    got += static_cast<std::size_t>(n);
  }
  return true;
}

ChildProcess::ChildProcess(const std::function<void(ByteStream&)>& body) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    fail("socketpair");
  }
  stream_ = std::make_unique<ByteStream>(ends[0]);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    run_child(ends[1], parent, body);
  }
  close(ends[1]);
  if (pid_ < 0) {
    fail("fork");
  }
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    static_cast<void>(ending());
  }
}

std::string ChildProcess::ending() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) {
      return "an unknown end";
    }
  }
  pid_ = -1;
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                             : fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace moesim
