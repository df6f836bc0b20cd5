// SPDX-License-Identifier: Apache-2.0
// Numbers that come piece by piece and are then read as an array: held in memory while they are
// few, else in a nameless file that is mapped, so that no recording has to fit into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "sim/moe/traces/npy.hpp"

namespace moesim::traces {

/// $TMPDIR, else /var/tmp: for what is too large for memory, as /tmp may be memory itself.
[[nodiscard]] std::filesystem::path scratch_folder();

class Spool {
 public:
  /// More bytes than this go into the file.
  static constexpr std::size_t kMostInMemory = std::size_t{8} << 20U;

  /// @param folder  where the file is made; the nearest folder above it that is there
  explicit Spool(std::filesystem::path folder);
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool();

  /// Throws EnvironmentError when the file cannot be made or written (a full disk).
  void append(std::span<const std::byte> piece);
  [[nodiscard]] std::size_t size() const { return size_; }
  /// What was appended, as an array; the spool is empty afterwards.
  [[nodiscard]] NpyArray take(NumberType type, std::vector<std::int64_t> shape);

 private:
  void open_file();
  void write_all(std::span<const std::byte> piece);

  std::filesystem::path folder_;
  std::vector<std::byte> held_;
  std::size_t size_ = 0;
  int file_ = -1;
};

}  // namespace moesim::traces
