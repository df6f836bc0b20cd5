// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/spool.hpp"

#include <fcntl.h>
#include <sys/mman.h>
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

ScratchFile::ScratchFile(fs::path folder) : folder_(std::move(folder)) {
  std::error_code ignored;
  while (!folder_.empty() && !fs::is_directory(folder_, ignored)) {
    folder_ = folder_.parent_path();
  }
  folder_ = folder_.empty() ? fs::path(".") : folder_;
  std::string name = (folder_ / ".moesim-XXXXXX").string();
  file_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (file_ < 0) {
    fail_call("create", name, errno);
  }
  ::unlink(name.c_str());
}

ScratchFile::~ScratchFile() {
  ::close(file_);
}

void ScratchFile::fail(int error) const {
  fail_call("write a scratch file in", folder_, error);
}

void ScratchFile::append(std::span<const std::byte> piece) {
  while (!piece.empty()) {
    const ssize_t written = ::write(file_, piece.data(), piece.size());
    if (written < 0 && errno != EINTR) {
      fail(errno);
    }
    piece = piece.subspan(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
}

void ScratchFile::fill(std::size_t bytes, const std::function<void(std::span<std::byte>)>& fill) {
  // Without the space, the first write to a page of it would end the process.
  if (const int error = ::posix_fallocate(file_, 0, static_cast<off_t>(bytes)); error != 0) {
    fail(error);
  }
  void* const pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
  if (pages == MAP_FAILED) {
    fail_call("map", folder_, errno);
  }
  const auto unmap = [bytes](void* begin) { ::munmap(begin, bytes); };
  const std::unique_ptr<void, decltype(unmap)> unmapped_at_the_end(pages, unmap);
  fill({static_cast<std::byte*>(pages), bytes});
}

MappedFile ScratchFile::mapped() const {
  return {file_, folder_};
}

Spool::Spool(fs::path folder) : folder_(std::move(folder)) {}

void Spool::append(std::span<const std::byte> piece) {
  size_ += piece.size();
  constexpr std::size_t kSmall = std::size_t{1} << 20U;
  if (file_ == nullptr && size_ <= kMostInMemory) {
    if (size_ > kSmall) {
      held_.reserve(kMostInMemory);  // doubling would hold half as much again meanwhile
    }
    held_.insert(held_.end(), piece.begin(), piece.end());
    return;
  }
  if (file_ == nullptr) {
    file_ = std::make_unique<ScratchFile>(folder_);
    file_->append(std::exchange(held_, {}));
  }
  file_->append(piece);
}

NpyArray Spool::take(NumberType type, std::vector<std::int64_t> shape) {
  const std::size_t bytes = std::exchange(size_, 0);
  if (file_ == nullptr) {
    return {type, std::move(shape), std::exchange(held_, {})};
  }
  const std::unique_ptr<ScratchFile> file = std::exchange(file_, nullptr);
  return {NpyHeader{.type = type, .shape = std::move(shape), .data_offset = 0, .data_bytes = bytes},
          file->mapped()};
}

}  // namespace moesim::traces
