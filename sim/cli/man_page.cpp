// SPDX-License-Identifier: Apache-2.0
// Manual pages: the commands and options in groff's man macros (groff_man(7)).
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/cli/command_tree.hpp"
#include "sim/cli/exit_codes.hpp"

namespace moesim::cli {
namespace {

/// Text as groff shows it letter by letter: a hyphen stays one, and no line is taken for a macro.
std::string escaped(std::string_view text) {
  std::string made;
  for (const char c : text) {
    switch (c) {
      case '\\':
        made += "\\e";
        break;
      case '-':
        made += "\\-";
        break;
      case '\'':
        made += "\\(aq";
        break;
      case '`':
        made += "\\(ga";
        break;
      case '^':
        made += "\\(ha";
        break;
      case '~':
        made += "\\(ti";
        break;
      case '"':
        made += "\\(dq";
        break;
      default:
        made += c;
    }
  }
  return fmt::format("{}{}", made.starts_with('.') ? "\\&" : "", made);
}

std::string bold(std::string_view text) {
  return fmt::format("\\fB{}\\fR", escaped(text));
}

std::string section(std::string_view name) {
  return fmt::format(".SH {}\n", name);
}

/// A sentence without its full stop, with it.
std::string sentence(std::string_view text) {
  const bool ends = text.empty() || text.back() == '.';
  return escaped(text) + (ends ? "\n" : ".\n");
}

std::string man_entry(const std::string& head, const std::string& text) {
  return fmt::format(".TP\n{}\n{}", head, text);
}

/// "DIR" stands for a value and is slanted; of "sim|gpu|both" each word is to be written as it is.
std::string value_text(const CommandOption& option) {
  if (option.kind != ValueKind::kWord) {
    return fmt::format("\\fI{}\\fR", escaped(option.value));
  }
  std::vector<std::string> words;
  std::transform(option.words.begin(), option.words.end(), std::back_inserter(words), bold);
  return fmt::format("{}", fmt::join(words, "|"));
}

std::string option_head(const CommandOption& option) {
  std::vector<std::string> names;
  std::transform(option.names.begin(), option.names.end(), std::back_inserter(names), bold);
  std::string head = fmt::format("{}", fmt::join(names, ", "));
  if (option.kind != ValueKind::kNone) {
    head += fmt::format(" {}", value_text(option));
  }
  return head + (option.repeats ? " ..." : "");
}

std::string synopsis(const Command& command) {
  std::string text = section("SYNOPSIS") + bold(joined_path(command, " ")) + " [\\fIOPTIONS\\fR]";
  for (const CommandOption& argument : command.arguments) {
    const std::string word = value_text(argument) + (argument.repeats ? " ..." : "");
    text += fmt::format(fmt::runtime(argument.required ? " {}" : " [{}]"), word);
  }
  return text + (command.commands.empty() ? "\n" : " \\fICOMMAND\\fR\n");
}

std::string options(std::string_view name, const std::vector<CommandOption>& list) {
  std::string text = list.empty() ? "" : section(name);
  for (const CommandOption& option : list) {
    const bool argument = !option.names.front().starts_with('-');
    const std::string head =
        argument ? value_text(option) + (option.repeats ? " ..." : "") : option_head(option);
    text += man_entry(
        head, sentence(option.description + (option.required && !argument ? " (required)" : "")));
  }
  return text;
}

std::string commands(const Command& command) {
  std::string text = command.commands.empty() ? "" : section("COMMANDS");
  for (const Command& below : command.commands) {
    text += man_entry(bold(joined_path(below, "-")) + "(1)", sentence(below.description));
  }
  return text;
}

std::string examples(const Command& command) {
  std::string text = command.examples.empty() ? "" : section("EXAMPLES");
  for (const std::string& example : command.examples) {
    text += fmt::format(".EX\n{}.EE\n", escaped(wrapped_command_line(example, 7)));
  }
  return text;
}

std::string exit_status() {
  std::string text = section("EXIT STATUS");
  for (const ExitMeaning& meaning : kExitMeanings) {
    text +=
        man_entry(bold(fmt::format("{}", static_cast<int>(meaning.code))), sentence(meaning.words));
  }
  return text;
}

std::string environment() {
  return section("ENVIRONMENT") +
         man_entry(bold("MOESIM_DATA"),
                   "Folder of models, clusters, calibrations and traces, instead of the installed\n"
                   ".IR share/moesim/scenarios .\n") +
         man_entry(bold("NO_COLOR"),
                   "When set, nothing is coloured. Colour is for terminals only.\n") +
         man_entry(bold("TMPDIR"),
                   "Folder for the content of compressed dumps while they are read.\n");
}

std::string see_also(const Command& command) {
  std::vector<std::string> pages;
  const auto add = [&](const std::vector<std::string>& path) {
    pages.push_back(bold(fmt::format("{}", fmt::join(path, "-"))) + "(1)");
  };
  if (command.path.size() > 1) {
    add({command.path.begin(), command.path.end() - 1});
  }
  for (const Command& below : command.commands) {
    add(below.path);
  }
  return section("SEE ALSO") + fmt::format("{}\n", fmt::join(pages, ",\n")) +
         ".PP\nKeys of scenarios, formats of results, equations: the guides that are installed as\n"
         ".IR share/doc/moesim .\n";
}

}  // namespace

std::string man_page(const Command& command, std::string_view version) {
  const std::string name = joined_path(command, "-");
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  std::string text = ".\\\" Made by moesim man from the texts of its --help.\n";
  text += fmt::format(
      ".TH {} 1 \"\" \"moesim {}\" \"User Commands\"\n", escaped(upper), escaped(version));
  text += section("NAME") + escaped(name) + " \\- " + escaped(command.description) + "\n";
  text += synopsis(command);
  text += section("DESCRIPTION") + sentence(command.description);
  for (const std::string& note : command.notes) {
    text += fmt::format(".PP\n{}", sentence(note));
  }
  text += options("ARGUMENTS", command.arguments) + commands(command) +
          options("OPTIONS", command.options);
  return text + examples(command) + exit_status() + environment() + see_also(command);
}

}  // namespace moesim::cli
