// SPDX-License-Identifier: Apache-2.0
// A file in memory without reading it: pages come in as they are touched.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace moesim::traces {

/// A whole file mapped read-only; unmapped at the end. A file cut short by another program while
/// it is mapped ends the process with SIGBUS, as with every mapped file.
class MappedFile {
 public:
  /// Throws EnvironmentError "cannot read PATH: reason".
  explicit MappedFile(const std::filesystem::path& path);
  /// The whole of an open file; the descriptor may be closed afterwards. `path` is for messages.
  MappedFile(int descriptor, const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> content() const { return {begin_, size_}; }

 private:
  const std::byte* begin_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace moesim::traces
