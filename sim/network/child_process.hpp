// SPDX-License-Identifier: Apache-2.0
// A child process that runs one function of ours and is joined to us by a byte stream.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace moesim {

/// One end of the stream. Values travel as their bytes: both ends are the same program.
class ByteStream {
 public:
  /// Takes over the file descriptor.
  explicit ByteStream(int fd) : fd_(fd) {}
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  ~ByteStream();

  /// Collected until flush().
  template <typename T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    put_bytes(std::as_bytes(std::span(&value, 1)));
  }
  /// Throws EnvironmentError when the other end is gone.
  void flush();
  /// False when the other end has closed before a first byte; throws when it closes in the middle.
  template <typename T>
  [[nodiscard]] bool get(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    return get_bytes(std::as_writable_bytes(std::span(&value, 1)));
  }

 private:
  void put_bytes(std::span<const std::byte> bytes);
  bool get_bytes(std::span<std::byte> bytes);

  int fd_;
  std::vector<std::byte> pending_;
};

/// Forks; the child runs `body` on its end of the stream and ends. It is killed and reaped with
/// this object, and killed when the thread that made it ends.
/// Valid for: bodies that only compute and talk to the stream. `body` runs with a copy of our
/// memory and only the thread that forked.
/// Checked by: simgrid_test.
class ChildProcess {
 public:
  explicit ChildProcess(const std::function<void(ByteStream&)>& body);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  [[nodiscard]] ByteStream& stream() { return *stream_; }
  /// Waits for the end of a child that has closed its stream: "exit code 3", "signal 6".
  [[nodiscard]] std::string ending();

 private:
  std::unique_ptr<ByteStream> stream_;
  pid_t pid_ = -1;
};

}  // namespace moesim
