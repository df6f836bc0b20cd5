// SPDX-License-Identifier: Apache-2.0
// Numbers that come piece by piece and are then read as an array: held in memory while they are
// few, else in a nameless file that is mapped, so that no recording has to fit into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "sim/moe/traces/npy.hpp"

namespace moesim::traces {

/// $TMPDIR, else /var/tmp: for what is too large for memory, as /tmp may be memory itself.
[[nodiscard]] std::filesystem::path scratch_folder();

/// A file without a name in a folder, or in the nearest folder above it that is there; it goes with
/// its last user, whatever ends this process.
class ScratchFile {
 public:
  /// Throws EnvironmentError when the file cannot be made.
  explicit ScratchFile(std::filesystem::path folder);
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();

  /// Throws EnvironmentError when it cannot be written (a full disk).
  void append(std::span<const std::byte> piece);
  /// Calls `fill` with `bytes` zeros to be written anywhere. The disk is asked for them first.
  void fill(std::size_t bytes, const std::function<void(std::span<std::byte>)>& fill);
  /// All of it, to be read; it lives as long as the mapping.
  [[nodiscard]] MappedFile mapped() const;

 private:
  [[noreturn]] void fail(int error) const;

  std::filesystem::path folder_;
  int file_ = -1;
};

class Spool {
 public:
  /// More bytes than this go into the file.
  static constexpr std::size_t kMostInMemory = std::size_t{8} << 20U;

  /// @param folder  where the file is made
  explicit Spool(std::filesystem::path folder);

  /// Throws EnvironmentError when the file cannot be made or written (a full disk).
  void append(std::span<const std::byte> piece);
  [[nodiscard]] std::size_t size() const { return size_; }
  /// What was appended, as an array; the spool is empty afterwards.
  [[nodiscard]] NpyArray take(NumberType type, std::vector<std::int64_t> shape);

 private:
  std::filesystem::path folder_;
  std::vector<std::byte> held_;
  std::size_t size_ = 0;
  std::unique_ptr<ScratchFile> file_;
};

}  // namespace moesim::traces
