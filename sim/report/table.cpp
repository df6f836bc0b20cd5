// SPDX-License-Identifier: Apache-2.0
#include "sim/report/table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace moesim {
namespace {

struct Scale {
  double factor;
  std::string_view name;
};

/// In the largest scale that leaves a number >= 0.9995, else in the first.
template <std::size_t N>
std::string scaled(double value, const std::array<Scale, N>& scales) {
  const Scale* best = &scales[0];
  for (const Scale& scale : scales) {
    best = value / scale.factor >= 0.9995 ? &scale : best;
  }
  return fmt::format("{} {}", three_digits(value / best->factor), best->name);
}

}  // namespace

std::string wrapped(std::string_view text) {
  constexpr std::size_t kColumns = 80;
  std::string lines;
  std::string line;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    if (at > 0 && line.size() + 1 + word.size() > kColumns) {
      lines += line + "\n";
      line = "  ";
    } else if (at > 0) {
      line += ' ';
    }
    line += word;
    at = end + 1;
  }
  return lines + line + "\n";
}

std::string three_digits(double value) {
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string table(const std::vector<std::string>& header,
                  const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  widths.reserve(header.size());
  for (const std::string& cell : header) {
    widths.push_back(cell.size());
  }
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      widths[c] = std::max(widths[c], row[c].size());
    }
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& row) {
    std::string line = fmt::format("{:<{}}", row[0], widths[0]);
    for (std::size_t c = 1; c < row.size(); ++c) {
      line += fmt::format("  {:>{}}", row[c], widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add(header);
  for (const auto& row : rows) {
    add(row);
  }
  return text;
}

std::string readable_time(double seconds) {
  static constexpr std::array<Scale, 4> kScales{
      {{1e-9, "ns"}, {1e-6, "us"}, {1e-3, "ms"}, {1.0, "s"}}};
  return scaled(seconds, kScales);
}

std::string readable_bytes(double bytes) {
  static constexpr std::array<Scale, 5> kScales{
      {{1.0, "B"}, {1e3, "kB"}, {1e6, "MB"}, {1e9, "GB"}, {1e12, "TB"}}};
  return bytes < 1000.0 ? fmt::format("{:.0f} B", bytes) : scaled(bytes, kScales);
}

std::string readable_share(double share) {
  return fmt::format("{:.2f} %", share * 100.0);
}

}  // namespace moesim
