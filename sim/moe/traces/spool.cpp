// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/spool.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>
#include <utility>

#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace fs = std::filesystem;

fs::path scratch_folder() {
  const char* const chosen = std::getenv("TMPDIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/var/tmp";
}

Spool::Spool(fs::path folder) : folder_(std::move(folder)) {}

Spool::~Spool() {
  if (file_ >= 0) {
    ::close(file_);
  }
}

void Spool::append(std::span<const std::byte> piece) {
  size_ += piece.size();
  if (file_ < 0 && size_ <= kMostInMemory) {
    held_.insert(held_.end(), piece.begin(), piece.end());
    return;
  }
  if (file_ < 0) {
    open_file();
    write_all(std::exchange(held_, {}));
  }
  write_all(piece);
}

void Spool::open_file() {
  std::error_code ignored;
  while (!folder_.empty() && !fs::is_directory(folder_, ignored)) {
    folder_ = folder_.parent_path();
  }
  std::string name = ((folder_.empty() ? fs::path(".") : folder_) / ".moesim-XXXXXX").string();
  file_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (file_ < 0) {
    fail_call("create", name, errno);
  }
  ::unlink(name.c_str());  // it goes with its last user, whatever ends this process
}

void Spool::write_all(std::span<const std::byte> piece) {
  while (!piece.empty()) {
    const ssize_t written = ::write(file_, piece.data(), piece.size());
    if (written < 0 && errno != EINTR) {
      fail_call("write a scratch file in", folder_.empty() ? fs::path(".") : folder_, errno);
    }
    piece = piece.subspan(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
}

NpyArray Spool::take(NumberType type, std::vector<std::int64_t> shape) {
  const std::size_t bytes = std::exchange(size_, 0);
  if (file_ < 0) {
    return {type, std::move(shape), std::exchange(held_, {})};
  }
  MappedFile mapped(file_, folder_);
  ::close(std::exchange(file_, -1));
  return {NpyHeader{.type = type, .shape = std::move(shape), .data_offset = 0, .data_bytes = bytes},
          std::move(mapped)};
}

}  // namespace moesim::traces
