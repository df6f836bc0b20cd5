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

constexpr std::size_t kLeastFirst = 12;  ///< columns that names always have

using Cells = std::vector<std::string>;

/// How many columns a terminal gives the text: one a code point of UTF-8.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::string padded(std::string_view text, std::size_t width, bool right) {
  const std::string blanks(width - std::min(width, columns(text)), ' ');
  return right ? blanks + std::string(text) : std::string(text) + blanks;
}

/// The text in lines of at most `width` columns, broken at blanks, the later ones indented by two.
/// A longer word has a line of its own; the last line fits, if it has to be an empty one.
Cells name_lines(std::string_view text, std::size_t width) {
  if (columns(text) <= width) {
    return {std::string(text)};
  }
  Cells lines = {""};
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    if (at > 0 && columns(lines.back()) + 1 + columns(word) > width) {
      lines.emplace_back("  ");
    } else if (at > 0) {
      lines.back() += ' ';
    }
    lines.back() += word;
    at = end + 1;
  }
  if (columns(lines.back()) > width) {
    lines.emplace_back();
  }
  return lines;
}

/// Parts of a heading, each with the mark that it may be broken after.
Cells heading_parts(std::string_view text) {
  Cells parts = {""};
  for (std::size_t i = 0; i < text.size(); ++i) {
    parts.back() += text[i];
    if (std::string_view(" ._/").find(text[i]) != std::string_view::npos && i + 1 < text.size()) {
      parts.emplace_back();
    }
  }
  return parts;
}

Cells heading_lines(std::string_view text, std::size_t width) {
  Cells lines = {""};
  for (const std::string& part : heading_parts(text)) {
    const std::string bare = part.substr(0, part.find_last_not_of(' ') + 1);
    if (!lines.back().empty() && columns(lines.back()) + columns(bare) > width) {
      lines.emplace_back();
    }
    lines.back() += part;
  }
  for (std::string& line : lines) {
    line.erase(line.find_last_not_of(' ') + 1);
  }
  return lines;
}

std::size_t longest_part(const std::string& heading) {
  std::size_t most = 0;
  for (const std::string& part : heading_parts(heading)) {
    most = std::max(most, columns(part.substr(0, part.find_last_not_of(' ') + 1)));
  }
  return most;
}

/// A table of some columns, each as wide as it is told.
class Layout {
 public:
  Layout(const Cells& header, const std::vector<Cells>& rows) : header_(header), rows_(rows) {
    for (std::size_t c = 0; c < header.size(); ++c) {
      std::size_t most = 0;
      for (const Cells& row : rows) {
        most = c < row.size() ? std::max(most, columns(row[c])) : most;
      }
      widths_.push_back(std::max(most, columns(header[c])));
      least_.push_back(std::max(most, longest_part(header[c])));
    }
  }

  /// In one piece where that fits, else with headings and names broken, else in several pieces.
  std::string text() {
    break_headings();
    const std::size_t first = widths_[0];
    const std::size_t least_first = std::min(first, kLeastFirst);
    std::string text;
    for (std::size_t begin = 1, end = 1; begin == 1 || begin < widths_.size(); begin = end) {
      end = begin + 1;
      while (end < widths_.size() && total(begin, end + 1) + least_first <= kColumns) {
        ++end;
      }
      end = std::min(end, widths_.size());
      const std::size_t others = total(begin, end);
      widths_[0] = std::min(first, std::max(least_first, kColumns - std::min(kColumns, others)));
      text += text.empty() ? "" : "\n";
      add_header(begin, end, text);
      for (const Cells& row : rows_) {
        add_row(row, begin, end, text);
      }
      if (end <= begin) {
        break;
      }
    }
    return text;
  }

 private:
  /// As little as is needed, the longest headings first; in a table that is parted anyway little.
  void break_headings() {
    constexpr std::size_t kHeading = 18;
    const std::vector<std::size_t> natural = widths_;
    const auto shorten = [&](std::size_t most) {
      for (std::size_t c = 1; c < widths_.size(); ++c) {
        widths_[c] = std::max(least_[c], std::min(natural[c], most));
      }
    };
    const auto fits = [&] { return total(1, widths_.size()) + widths_[0] <= kColumns; };
    for (std::size_t most = kColumns; !fits() && most > 0; --most) {
      shorten(most);
    }
    if (!fits()) {
      shorten(kHeading);
    }
  }

  /// Columns that some columns take, with the two blanks before each.
  [[nodiscard]] std::size_t total(std::size_t begin, std::size_t end) const {
    std::size_t sum = 0;
    for (std::size_t c = begin; c < end; ++c) {
      sum += 2 + widths_[c];
    }
    return sum;
  }

  static void end_line(std::string& line, std::string& text) {
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }

  void add_header(std::size_t begin, std::size_t end, std::string& text) const {
    std::vector<Cells> cells = {heading_lines(header_[0], widths_[0])};
    std::size_t lines = cells.front().size();
    for (std::size_t c = begin; c < end; ++c) {
      cells.push_back(heading_lines(header_[c], widths_[c]));
      lines = std::max(lines, cells.back().size());
    }
    for (std::size_t i = 0; i < lines; ++i) {
      const auto part = [&](const Cells& cell) {
        return i + cell.size() < lines ? std::string() : cell[i + cell.size() - lines];
      };
      std::string line = padded(part(cells[0]), widths_[0], false);
      for (std::size_t c = begin; c < end; ++c) {
        line += "  " + padded(part(cells[1 + c - begin]), widths_[c], true);
      }
      end_line(line, text);
    }
  }

  void add_row(const Cells& row, std::size_t begin, std::size_t end, std::string& text) const {
    const Cells first = name_lines(row[0], widths_[0]);
    for (std::size_t i = 0; i + 1 < first.size(); ++i) {
      text += first[i] + "\n";
    }
    std::string line = padded(first.back(), widths_[0], false);
    for (std::size_t c = begin; c < std::min(end, row.size()); ++c) {
      line += "  " + padded(row[c], widths_[c], true);
    }
    end_line(line, text);
  }

  const Cells& header_;
  const std::vector<Cells>& rows_;
  std::vector<std::size_t> widths_;
  std::vector<std::size_t> least_;  ///< with the heading broken
};

}  // namespace

std::string wrapped(std::string_view text) {
  const std::string indent(std::min(text.find_first_not_of(' '), text.size()) + 2, ' ');
  std::string lines;
  std::string line;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    if (at > 0 && line.size() + 1 + word.size() > kColumns) {
      lines += line + "\n";
      line = indent;
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
  return Layout(header, rows).text();
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
