// SPDX-License-Identifier: Apache-2.0
// Files that appear whole or not at all.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace moesim {

/// Writes `content` beside `path`, syncs it, and renames it over `path`: a reader sees the old file
/// or the new one, never a part. Creates missing parent folders.
/// Throws EnvironmentError naming the call that failed; then no temporary file is left behind.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// The same for content that comes in pieces: nothing is at `path` before commit(). Without it the
/// temporary file goes at the end of the scope. Throws as write_file_atomically.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void append(std::string_view content);
  void commit();

 private:
  [[noreturn]] void fail_here(std::string_view call, int error) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int file_ = -1;
  bool there_ = false;  ///< the temporary file
};

/// The whole file. Throws EnvironmentError "cannot read PATH: reason".
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

}  // namespace moesim
