// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/result_folder.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <functional>

#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/report/csv_report.hpp"
#include "sim/report/json_report.hpp"
#include "sim/report/page.hpp"

namespace moesim::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPage = "report.html";

void write_all(const fs::path& folder, const RunReport& report, const Counters* over_time) {
  write_file_atomically(folder / "report.json", to_json(report));
  write_file_atomically(folder / "summary.csv", summary_csv(report));
  write_file_atomically(folder / "layers.csv", layers_csv(report));
  write_file_atomically(folder / "experts.csv", experts_csv(report));
  write_file_atomically(folder / "ranks.csv", ranks_csv(report));
  write_file_atomically(folder / "links.csv", links_csv(report));
  write_file_atomically(folder / "pairs.csv", pairs_csv(report));
  write_file_atomically(folder / "scenario.toml", report.resolved);
  if (has_page()) {
    write_file_atomically(folder / kPage, run_page_html(report, over_time));
  }
}

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

constexpr std::string_view kRunMark = "report.json";

/// Lets `write` fill a hidden folder beside `folder`, then puts it there.
void write_whole(const fs::path& folder,
                 std::string_view mark,
                 const std::function<void(const fs::path&)>& write) {
  check_result_folder(folder, mark);
  fs::path target = fs::absolute(folder).lexically_normal();
  if (!target.has_filename()) {
    target = target.parent_path();
  }
  const fs::path temporary =
      target.parent_path() / fmt::format(".{}.part{}", target.filename().string(), ::getpid());
  try {
    write(temporary);
    swap_in(temporary, target);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
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

void write_folder(const fs::path& folder,
                  const std::vector<ResultFile>& files,
                  const std::function<void(const fs::path&)>& more) {
  write_whole(folder, files.front().name, [&](const fs::path& temporary) {
    for (const ResultFile& file : files) {
      write_file_atomically(temporary / file.name, file.text);
    }
    if (more) {
      more(temporary);
    }
  });
}

void write_results(const fs::path& folder,
                   const RunReport& report,
                   const Counters* over_time,
                   const std::function<void(const fs::path&)>& more) {
  write_whole(folder, kRunMark, [&](const fs::path& temporary) {
    write_all(temporary, report, over_time);
    if (more) {
      more(temporary);
    }
  });
}

std::string results_line(const fs::path& folder, std::string_view mark) {
  return fmt::format("results: {}; {}\n",
                     (folder / mark).string(),
                     has_page() ? fmt::format("page: {}", (folder / kPage).string())
                                : "no page: built without npm");
}

void add_page(std::vector<ResultFile>& files, std::string_view report_json) {
  add_page_html(files, page_html(report_json));
}

void add_page_html(std::vector<ResultFile>& files, std::string html) {
  if (!html.empty()) {
    files.push_back({std::string(kPage), std::move(html)});
  }
}

void write_gpu_results(const fs::path& folder, const GpuReport& report) {
  write_whole(folder, kRunMark, [&](const fs::path& temporary) {
    write_file_atomically(temporary / "report.json", gpu_json(report));
    write_file_atomically(temporary / "scenario.toml", report.head.resolved);
    if (has_page()) {
      write_file_atomically(temporary / kPage, page_html(gpu_json(report)));
    }
  });
}

void write_comparison(const fs::path& folder,
                      const RunReport& simulated,
                      const GpuReport& measured) {
  write_whole(folder, kRunMark, [&](const fs::path& temporary) {
    write_all(temporary, simulated, nullptr);
    const std::string comparison = comparison_json(simulated, measured);
    write_file_atomically(temporary / "gpu_report.json", gpu_json(measured));
    write_file_atomically(temporary / "comparison.json", comparison);
    if (has_page()) {
      write_file_atomically(temporary / "comparison.html", comparison_page_html(comparison));
    }
  });
}

}  // namespace moesim::cli
