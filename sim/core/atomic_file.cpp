// SPDX-License-Identifier: Apache-2.0
#include "sim/core/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>

#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail(std::string_view call, const fs::path& path, int error) {
  throw EnvironmentError(
      fmt::format("cannot {} {}: {}", call, path.string(), std::strerror(error)));
}

/// Writes, syncs and closes; returns the failing call's name, or "" when all went well.
std::string_view write_all(int file, std::string_view content, int& error) {
  while (!content.empty()) {
    const ssize_t written = ::write(file, content.data(), content.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      error = errno;
      ::close(file);
      return "write";
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  const bool synced = ::fsync(file) == 0;
  error = errno;
  if (::close(file) != 0 && synced) {
    error = errno;
    return "close";
  }
  return synced ? "" : "sync";
}

}  // namespace

void write_file_atomically(const fs::path& path, std::string_view content) {
  std::error_code made;
  if (path.has_parent_path()) {
    fs::create_directories(path.parent_path(), made);
    if (made) {
      fail("create folder", path.parent_path(), made.value());
    }
  }
  const fs::path temporary = path.string() + fmt::format(".part{}", ::getpid());
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) {
    fail("create", temporary, errno);
  }
  int error = 0;
  const std::string_view failed = write_all(file, content, error);
  if (!failed.empty()) {
    ::unlink(temporary.c_str());
    fail(failed, temporary, error);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    error = errno;
    ::unlink(temporary.c_str());
    fail("rename to", path, error);
  }
}

std::string read_file(const fs::path& path) {
  std::error_code kind;
  if (fs::is_directory(path, kind)) {
    fail("read", path, EISDIR);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fail("read", path, errno);
  }
  std::ostringstream content;
  content << file.rdbuf();
  if (file.bad()) {
    fail("read", path, EIO);
  }
  return std::move(content).str();
}

}  // namespace moesim
