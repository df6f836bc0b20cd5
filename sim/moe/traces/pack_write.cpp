// SPDX-License-Identifier: Apache-2.0
// Writing a pack: into a folder beside the target, renamed at the end.
#include <fmt/core.h>
#include <unistd.h>

#include <system_error>

#include "sim/core/atomic_file.hpp"
#include "sim/moe/traces/csv.hpp"
#include "sim/moe/traces/pack.hpp"
#include "sim/moe/traces/pack_json.hpp"
#include "sim/moe/traces/refuse.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;

/// A new folder, removed with all in it at the end of its scope unless it has been moved away.
class ScratchFolder {
 public:
  explicit ScratchFolder(fs::path path) : path_(std::move(path)) {
    std::error_code error;
    fs::remove_all(path_, error);
    fs::create_directories(path_, error);
    if (error) {
      fail_call("create folder", path_, error.value());
    }
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void move_folder(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) {
    fail_call("rename to", to, error.value());
  }
}

std::string sequences_csv(const std::vector<TraceSequence>& sequences) {
  std::string text = "sequence,row_start,rows,domain,source\n";
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const TraceSequence& sequence = sequences[i];
    text += fmt::format("{},{},{},{},{}\n",
                        i,
                        sequence.row_start,
                        sequence.rows,
                        csv_cell(sequence.domain),
                        csv_cell(sequence.source));
  }
  return text;
}

/// Whether the target is there; throws unless it may be replaced.
bool target_exists(const fs::path& folder, bool overwrite) {
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(folder, ignored))) {
    return false;
  }
  if (!overwrite) {
    refuse(folder, "already there; choose another folder or allow overwriting (--overwrite)");
  }
  if (!fs::exists(folder / "pack.json", ignored)) {
    refuse(folder, "not a route pack (no pack.json); it is not overwritten");
  }
  return true;
}

/// The folder without a trailing slash, so that it has a name.
fs::path named_folder(const fs::path& folder) {
  return folder.has_filename() ? folder : folder.parent_path();
}

fs::path beside(const fs::path& folder, std::string_view suffix) {
  return folder.parent_path() /
         fmt::format(".{}.{}{}", folder.filename().string(), suffix, ::getpid());
}

}  // namespace

void write_pack(const RoutePack& pack,
                const std::string& extra_json,
                bool overwrite,
                PackArrays arrays,
                const Pace& pace) {
  constexpr int kMostInOneByte = 256;
  const char* const ending = arrays == PackArrays::kGzip ? ".npy.gz" : ".npy";
  const fs::path folder = named_folder(pack.folder);
  const bool replace = target_exists(folder, overwrite);
  const ScratchFolder fresh(beside(folder, "part"));
  write_file_atomically(fresh.path() / "pack.json", pack_json(pack, extra_json));
  if (pack.topk) {
    write_npy_as(fresh.path() / fmt::format("topk{}", ending),
                 *pack.topk,
                 pack.header.experts <= kMostInOneByte ? NumberType::kU1 : NumberType::kU2,
                 pace);
    write_file_atomically(fresh.path() / "sequences.csv", sequences_csv(pack.sequences));
  }
  if (pack.weights) {
    write_npy(fresh.path() / fmt::format("weights{}", ending), *pack.weights, pace);
  }
  if (pack.counts) {
    write_npy(fresh.path() / fmt::format("counts{}", ending), *pack.counts, pace);
  }
  if (replace) {
    const ScratchFolder old(beside(folder, "old"));
    move_folder(folder, old.path() / "pack");
    move_folder(fresh.path(), folder);
    return;
  }
  move_folder(fresh.path(), folder);
}

}  // namespace moesim::traces
