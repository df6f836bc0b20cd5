// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/nccl_log.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "sim/calibrate/collective.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::calibrate {
namespace {

constexpr std::size_t kLeastCells = 8;  // size count type redop root time algbw busbw
constexpr std::size_t kTimeCell = 5;

[[noreturn]] void refuse(const std::filesystem::path& path, int line, std::string message) {
  throw UserError(std::vector<Diagnostic>{{.place = {path.string(), line, line > 0 ? 1 : 0},
                                           .key = {},
                                           .message = std::move(message),
                                           .source_line = {},
                                           .hint = {}}});
}

std::vector<std::string_view> cells_of(std::string_view line) {
  std::vector<std::string_view> cells;
  for (std::size_t at = line.find_first_not_of(" \t\r"); at != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    cells.push_back(line.substr(at, end - at));
    at = line.find_first_not_of(" \t\r", end);
  }
  return cells;
}

std::optional<double> positive_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  return whole && std::isfinite(value) && value > 0 ? std::optional(value) : std::nullopt;
}

/// What the comment lines of a log say.
struct Header {
  int ranks = 0;
  bool is_ours = true;     ///< every rank's GPU is the hardware's
  std::string collective;  ///< "alltoall_perf", "" when the log does not say
};

void read_comment(std::string_view line, const Hardware& hardware, Header& header) {
  constexpr std::string_view kStarting = "# Collective test starting: ";
  if (line.starts_with(kStarting)) {
    header.collective = cells_of(line.substr(kStarting.size())).front();
  } else if (line.find("Rank") != std::string_view::npos &&
             line.find(" device ") != std::string_view::npos) {
    ++header.ranks;
    const std::size_t name = line.find(']');
    header.is_ours =
        header.is_ours && name != std::string_view::npos && hardware.is_gpu(line.substr(name + 1));
  }
}

/// A row of times; nothing for other text between them.
std::optional<AllToAll> read_row(const std::filesystem::path& path,
                                 std::string_view line,
                                 int number) {
  const std::vector<std::string_view> cells = cells_of(line);
  if (cells.empty() || cells[0].find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  if (cells.size() < kLeastCells) {
    refuse(path,
           number,
           fmt::format("{} cells; expected size, count, type, redop, root, time, algbw, busbw",
                       cells.size()));
  }
  const std::optional<double> size = positive_number(cells[0]);
  const std::optional<double> time = positive_number(cells[kTimeCell]);
  if (!size || !time) {
    refuse(path,
           number,
           fmt::format("size \"{}\" and time \"{}\" are not both numbers above 0",
                       cells[0],
                       cells[kTimeCell]));
  }
  return AllToAll{.place = fmt::format("{}:{}", path.string(), number),
                  .source = "nccl-tests log " + path.filename().string(),
                  .ranks = 0,
                  .bytes = *size,
                  .time = microseconds(*time),
                  .send_bytes = {}};
}

void add_points(const std::filesystem::path& path,
                const Header& header,
                std::vector<AllToAll> rows,
                Hardware& hardware,
                Reading& reading) {
  if (header.ranks == 0) {
    refuse(path, 0, "no \"#  Rank n ... device d\" lines, so the number of ranks is unknown");
  }
  const std::string named =
      header.collective.empty() ? path.filename().string() : header.collective;
  const bool all_to_all = named.find("alltoall") != std::string::npos;
  for (AllToAll& row : rows) {
    if (!header.is_ours || !all_to_all || row.bytes < kSmallestCollective) {
      ++reading.skipped[!header.is_ours ? "another GPU"
                        : !all_to_all   ? "a collective other than all-to-all"
                                        : kTooSmallCollective];
      continue;
    }
    row.ranks = header.ranks;
    reading.points.push_back(all_to_all_point(hardware, row));
  }
}

}  // namespace

bool is_nccl_log(std::string_view text) {
  return text.find("# nThread") != std::string_view::npos ||
         (text.find("algbw") != std::string_view::npos &&
          text.find("#wrong") != std::string_view::npos);
}

void read_nccl_log(const std::filesystem::path& path,
                   std::string_view text,
                   Hardware& hardware,
                   Reading& reading) {
  Header header;
  std::vector<AllToAll> rows;
  int number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    ++number;
    if (line.starts_with('#')) {
      read_comment(line, hardware, header);
    } else if (auto row = read_row(path, line, number)) {
      rows.push_back(std::move(*row));
    }
    at = end + 1;
  }
  if (rows.empty()) {
    refuse(path, 0, "a header of nccl-tests and no row of times");
  }
  add_points(path, header, std::move(rows), hardware, reading);
}

}  // namespace moesim::calibrate
