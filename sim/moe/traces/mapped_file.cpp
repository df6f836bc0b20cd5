// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

/// An open file; closed at the end of its scope.
class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) {
      fail_call("read", path, errno);
    }
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() { ::close(descriptor_); }
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path)
    : MappedFile(OpenFile(path).descriptor(), path) {}

MappedFile::MappedFile(int descriptor, const std::filesystem::path& path) {
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) {
    fail_call("read", path, errno);
  }
  if (S_ISDIR(facts.st_mode)) {
    fail_call("read", path, EISDIR);
  }
  if (facts.st_size == 0) {
    return;
  }
  const auto size = static_cast<std::size_t>(facts.st_size);
  void* const pages = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (pages == MAP_FAILED) {
    fail_call("map", path, errno);
  }
  begin_ = static_cast<const std::byte*>(pages);
  size_ = size;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : begin_(std::exchange(other.begin_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(begin_, other.begin_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (begin_ != nullptr) {
    ::munmap(const_cast<std::byte*>(begin_), size_);  // munmap takes a pointer to non-const
  }
}

}  // namespace moesim::traces
