// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/result_folder.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/csv_report.hpp"
#include "sim/report/json_report.hpp"

namespace moesim::cli {
namespace fs = std::filesystem;
namespace {

/// Puts `from` where `to` is; the old folder is gone only when the new one stands.
void swap_in(const fs::path& from, const fs::path& to) {
  const fs::path old = from.string() + ".old";
  std::error_code error;
  if (fs::exists(to)) {
    fs::rename(to, old, error);
  }
  if (!error) {
    fs::rename(from, to, error);
  }
  if (error) {
    throw EnvironmentError(fmt::format("cannot rename to {}: {}", to.string(), error.message()));
  }
  fs::remove_all(old, error);
}

}  // namespace

void check_result_folder(const fs::path& folder, std::string_view mark) {
  const bool is_ours =
      fs::is_directory(folder) && (fs::exists(folder / mark) || fs::is_empty(folder));
  if (fs::exists(folder) && !is_ours) {
    throw UserError(fmt::format("--out {}: exists and is not a result folder; name another folder",
                                folder.string()));
  }
}

void write_folder(const fs::path& folder, const std::vector<ResultFile>& files) {
  check_result_folder(folder, files.front().name);
  fs::path target = fs::absolute(folder).lexically_normal();
  if (!target.has_filename()) {
    target = target.parent_path();
  }
  const fs::path temporary =
      target.parent_path() / fmt::format(".{}.part{}", target.filename().string(), ::getpid());
  try {
    for (const ResultFile& file : files) {
      write_file_atomically(temporary / file.name, file.text);
    }
    swap_in(temporary, target);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

void write_results(const fs::path& folder, const RunReport& report) {
  write_folder(folder,
               {{"report.json", to_json(report)},
                {"summary.csv", summary_csv(report)},
                {"layers.csv", layers_csv(report)},
                {"experts.csv", experts_csv(report)},
                {"ranks.csv", ranks_csv(report)},
                {"links.csv", links_csv(report)},
                {"scenario.toml", report.resolved}});
}

}  // namespace moesim::cli
