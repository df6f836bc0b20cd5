// SPDX-License-Identifier: Apache-2.0
#include "sim/core/diagnostics.hpp"

#include <fmt/format.h>

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

std::string join(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& d : diagnostics) {
    text += (text.empty() ? "" : "\n") + to_text(d);
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
  if (d.source_line.empty()) {
    return text;
  }
  const auto caret_column = static_cast<std::size_t>(d.place.column > 0 ? d.place.column - 1 : 0);
  text += fmt::format(
      "\n{:>6} | {}\n       | {}^", d.place.line, d.source_line, std::string(caret_column, ' '));
  if (!d.hint.empty()) {
    text += " " + d.hint;
  }
  return text;
}

UserError::UserError(std::vector<Diagnostic> diagnostics)
    : std::runtime_error(join(diagnostics)), diagnostics_(std::move(diagnostics)) {}

UserError::UserError(std::string message)
    : UserError(std::vector<Diagnostic>{Diagnostic{
          .place = {}, .key = {}, .message = std::move(message), .source_line = {}, .hint = {}}}) {}

}  // namespace moesim
