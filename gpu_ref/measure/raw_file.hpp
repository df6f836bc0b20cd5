// SPDX-License-Identifier: Apache-2.0
// The raw file: lines are appended and synced one by one; a later run goes on where it ended.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace moesim::measure {

/// What an existing file holds.
struct RawContents {
  std::set<std::string> cases;  ///< measured or skipped
  std::set<std::string> gpus;   ///< names of the GPUs of its lines
  std::size_t torn_bytes = 0;   ///< behind the last newline: the line a killed run left
};

/// Throws KitMistake "FILE:LINE: not a line of schema 1 of moesim-raw" for any other line, and
/// std::runtime_error when the file cannot be read. A file that does not exist is empty.
[[nodiscard]] RawContents read_raw(const std::string& file);

/// Appends lines to a raw file. Only one object a file.
class RawFile {
 public:
  /// Opens or creates the file, cuts a torn last line off. Throws std::runtime_error naming the
  /// call that failed.
  RawFile(const std::string& file, std::size_t torn_bytes);
  ~RawFile();
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  /// Writes the line and its newline and syncs: what returned is on the disk.
  void append(std::string_view line);

 private:
  std::string file_;
  int descriptor_ = -1;
};

}  // namespace moesim::measure
