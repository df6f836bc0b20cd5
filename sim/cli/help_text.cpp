// SPDX-License-Identifier: Apache-2.0
// --help: wrapped, so that it reads on a terminal of 80 columns.
#include <fmt/format.h>

#include <sstream>
#include <string_view>

#include "sim/cli/command_tree.hpp"
#include "sim/cli/exit_codes.hpp"

namespace moesim::cli {
namespace {

constexpr std::size_t kWidth = 80;
constexpr std::size_t kIndent = 26;  ///< of descriptions

/// `parts` in lines: the first goes on at column `at`, later lines begin at `indent`; `line_end`
/// closes all but the last.
std::string in_lines(const std::vector<std::string>& parts,
                     std::size_t at,
                     std::size_t indent,
                     std::string_view line_end) {
  const std::size_t width = kWidth + 1 - line_end.size();
  std::string lines;
  for (const std::string& part : parts) {
    if (lines.empty()) {
      lines = part;
    } else if (at + 1 + part.size() > width) {
      lines += fmt::format("{}{}{}", line_end, std::string(indent, ' '), part);
      at = indent + part.size();
      continue;
    } else {
      lines += fmt::format(" {}", part);
      ++at;
    }
    at += part.size();
  }
  return lines + "\n";
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::stringstream stream(text);
  for (std::string word; stream >> word;) {
    words.push_back(word);
  }
  return words;
}

std::string wrapped(const std::string& text, std::size_t at, std::size_t indent) {
  return in_lines(words_of(text), at, indent, "\n");
}

std::string entry(const std::string& name, const std::string& description) {
  const std::string head = fmt::format("  {}", name);
  if (head.size() + 1 < kIndent) {
    return head + std::string(kIndent - head.size(), ' ') + wrapped(description, kIndent, kIndent);
  }
  return head + "\n" + std::string(kIndent, ' ') + wrapped(description, kIndent, kIndent);
}

std::string option_text(const CommandOption& option) {
  std::string head = fmt::format("{}", fmt::join(option.names, ","));
  if (!option.value.empty()) {
    head += fmt::format(" {}", option.value);
  }
  return entry(head + (option.repeats ? "..." : ""),
               option.description + (option.required ? " (required)" : ""));
}

std::string exit_codes() {
  std::vector<std::string> codes;
  codes.reserve(kExitMeanings.size());
  for (const ExitMeaning& meaning : kExitMeanings) {
    codes.push_back(fmt::format("{} {}", static_cast<int>(meaning.code), meaning.words));
  }
  return fmt::format("Exit codes: {}.", fmt::join(codes, ", "));
}

}  // namespace

std::string wrapped_command_line(const std::string& line, std::size_t at) {
  std::vector<std::string> parts;
  for (const std::string& word : words_of(line)) {
    const bool value = !parts.empty() && parts.back().starts_with("--") && !word.starts_with("-") &&
                       parts.back().find(' ') == std::string::npos;
    if (value) {
      parts.back() += fmt::format(" {}", word);
    } else {
      parts.push_back(word);
    }
  }
  return in_lines(parts, at, 4, " \\\n");
}

std::string help_text(const Command& command) {
  std::string text = wrapped(command.description, 0, 0);
  const std::string usage = "Usage: ";
  text += usage + wrapped(usage_of(command), usage.size(), usage.size());
  if (!command.arguments.empty()) {
    text += "\nArguments:\n";
    for (const CommandOption& argument : command.arguments) {
      text += entry(argument.value + (argument.repeats ? "..." : ""), argument.description);
    }
  }
  text += "\nOptions:\n";
  for (const CommandOption& option : command.options) {
    text += option_text(option);
  }
  if (!command.commands.empty()) {
    text += "\nCommands:\n";
    for (const Command& below : command.commands) {
      text += entry(below.path.back(), below.description);
    }
  }
  text += "\n";
  if (!command.commands.empty()) {
    text += wrapped(exit_codes(), 0, 0);
  }
  for (const std::string& note : command.notes) {
    text += wrapped(note, 0, 0);
  }
  for (const std::string& example : command.examples) {
    const std::string head = "Example: ";
    text += head + wrapped_command_line(example, head.size());
  }
  return text;
}

}  // namespace moesim::cli
