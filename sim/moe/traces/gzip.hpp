// SPDX-License-Identifier: Apache-2.0
// gzip through zlib. Output in memory grows with the data that is really there, never with a size
// that a header only claims.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/atomic_file.hpp"

namespace moesim::traces {

/// deflate cannot shrink data more than this; a bound for what `packed` can hold.
inline constexpr std::size_t kMostDeflateRatio = 1032;

/// Whether the bytes begin as a gzip stream does.
[[nodiscard]] bool is_gzip(std::span<const std::byte> content);

/// The first bytes of a gzip stream, `most` of them or all.
/// Throws UserError naming `path`: not gzip, damaged or truncated.
[[nodiscard]] std::vector<std::byte> gunzip(const std::filesystem::path& path,
                                            std::span<const std::byte> packed,
                                            std::size_t most);

/// Calls `take` with the content of a gzip stream, a block after the other, until it ends or `take`
/// returns false. Throws as gunzip.
void gunzip_blocks(const std::filesystem::path& path,
                   std::span<const std::byte> packed,
                   const std::function<bool(std::span<const std::byte>)>& take);

/// The text of a plain or gzip file; at most `most` bytes, more is a UserError.
[[nodiscard]] std::string read_text(const std::filesystem::path& path, std::size_t most);

/// A .gz file made piece by piece, as AtomicFile makes plain ones.
class GzipFile {
 public:
  class Deflater;
  explicit GzipFile(const std::filesystem::path& path);
  ~GzipFile();
  void append(std::string_view plain);
  void commit();

 private:
  AtomicFile file_;
  std::unique_ptr<Deflater> deflater_;
};

/// gzip with a zero time and no name: equal input, equal bytes.
[[nodiscard]] std::string gzip(std::string_view plain);

}  // namespace moesim::traces
