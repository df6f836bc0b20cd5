// SPDX-License-Identifier: Apache-2.0
#include "sim/core/diagnostics.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace moesim {
namespace {

std::string place_text(const SourcePlace& place) {
  if (place.file.empty()) {
    return "";
  }
  if (place.line == 0) {
    return place.file + ": ";
  }
  return fmt::format("{}:{}:{}: ", place.file, place.line, place.column);
}

constexpr std::size_t kLongestShownLine = 160;

/// The line without control characters, which a terminal might obey; cut when very long.
std::string shown_line(std::string_view line) {
  std::string shown(line.substr(0, kLongestShownLine));
  for (char& c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    c = (byte < 0x20 && c != '\t') || byte == 0x7f ? '?' : c;
  }
  return line.size() > kLongestShownLine ? shown + "..." : shown;
}

/// Blanks up to the caret; tabs stay tabs, so that it points right at any tab width. Columns count
/// characters: the continuation bytes of UTF-8 take no room.
std::string caret_padding(std::string_view line, int column) {
  std::string padding;
  int at = 1;
  for (const char c : line) {
    const bool continues = (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
    if (at >= column && !continues) {
      break;
    }
    if (!continues) {
      padding += c == '\t' ? '\t' : ' ';
      ++at;
    }
  }
  return padding + std::string(static_cast<std::size_t>(std::max(0, column - at)), ' ');
}

std::string join(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& d : diagnostics) {
    text += text.empty() ? "" : "\n";
    text += to_text(d);
  }
  return text;
}

}  // namespace

std::string to_text(const Diagnostic& d) {
  std::string text = place_text(d.place) + "error: ";
  if (!d.key.empty()) {
    text += d.key + ": ";
  }
  text += d.message;
  if (d.source_line.empty() || d.place.column > static_cast<int>(kLongestShownLine)) {
    return d.hint.empty() ? text : text + "; " + d.hint;
  }
  text += fmt::format("\n{:>6} | {}\n       | {}^",
                      d.place.line,
                      shown_line(d.source_line),
                      caret_padding(d.source_line, d.place.column));
  return d.hint.empty() ? text : text + " " + d.hint;
}

UserError::UserError(std::vector<Diagnostic> diagnostics)
    : std::runtime_error(join(diagnostics)), diagnostics_(std::move(diagnostics)) {}

UserError::UserError(std::string message)
    : UserError(std::vector<Diagnostic>{Diagnostic{
          .place = {}, .key = {}, .message = std::move(message), .source_line = {}, .hint = {}}}) {}

}  // namespace moesim
