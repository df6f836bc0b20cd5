// SPDX-License-Identifier: Apache-2.0
#include "sim/core/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "sim/core/diagnostics.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail(std::string_view call, const fs::path& path, int error) {
  throw EnvironmentError(
      fmt::format("cannot {} {}: {}", call, path.string(), std::strerror(error)));
}

}  // namespace

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), temporary_(path_.string() + fmt::format(".part{}", ::getpid())) {
  std::error_code made;
  if (path_.has_parent_path()) {
    fs::create_directories(path_.parent_path(), made);
    if (made) {
      fail("create folder", path_.parent_path(), made.value());
    }
  }
  file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file_ < 0) {
    fail("create", temporary_, errno);
  }
  there_ = true;
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) {
    ::close(file_);
  }
  if (there_) {
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::fail_here(std::string_view call, int error) const {
  fail(call, temporary_, error);
}

void AtomicFile::append(std::string_view content) {
  while (!content.empty()) {
    const ssize_t written = ::write(file_, content.data(), content.size());
    if (written < 0 && errno != EINTR) {
      fail_here("write", errno);
    }
    content.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
}

void AtomicFile::commit() {
  if (::fsync(file_) != 0) {
    fail_here("sync", errno);
  }
  if (::close(std::exchange(file_, -1)) != 0) {
    fail_here("close", errno);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail("rename to", path_, errno);
  }
  there_ = false;
}

void write_file_atomically(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.append(content);
  file.commit();
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
