// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/command_tree.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

namespace moesim::cli {
namespace {

/// The words of "{a,b}" or of "{a->0,b->1}"; none of any other text.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  const std::size_t open = text.find('{');
  const std::size_t close = text.find('}');
  if (open == std::string_view::npos || close == std::string_view::npos) {
    return words;
  }
  std::stringstream list(std::string(text.substr(open + 1, close - open - 1)));
  for (std::string word; std::getline(list, word, ',');) {
    words.push_back(word.substr(0, word.find("->")));
  }
  return words;
}

/// "0 to 4096" of "INT in [0 - 4096]", "" of any other text.
std::string range_of(std::string_view text) {
  const std::size_t open = text.find(" in [");
  const std::size_t middle = text.find(" - ");
  if (open == std::string_view::npos || middle == std::string_view::npos) {
    return "";
  }
  const std::string_view low = text.substr(open + 5, middle - open - 5);
  const std::string_view high = text.substr(middle + 3, text.find(']') - middle - 3);
  return fmt::format("{} to {}", low, high);
}

ValueKind kind_of(std::string_view placeholder) {
  using Entry = std::pair<std::string_view, ValueKind>;
  constexpr std::array kKinds = {Entry{"SCENARIO", ValueKind::kToml},
                                 Entry{"A", ValueKind::kToml},
                                 Entry{"B", ValueKind::kToml},
                                 Entry{"PLAN", ValueKind::kToml},
                                 Entry{"STUDY", ValueKind::kToml},
                                 Entry{"GENERATOR", ValueKind::kToml},
                                 Entry{"CAL.toml", ValueKind::kToml},
                                 Entry{"FILE", ValueKind::kFile},
                                 Entry{"FILES", ValueKind::kFile},
                                 Entry{"STORE", ValueKind::kFile},
                                 Entry{"DUMP", ValueKind::kFile},
                                 Entry{"CASES.csv", ValueKind::kFile},
                                 Entry{"DIR", ValueKind::kFolder},
                                 Entry{"PACK", ValueKind::kFolder},
                                 Entry{"KEY=VALUE", ValueKind::kSetting}};
  const auto* found = std::find_if(
      kKinds.begin(), kKinds.end(), [&](const Entry& e) { return e.first == placeholder; });
  return found == kKinds.end() ? ValueKind::kOther : found->second;
}

/// CLI11's names of types are no help to anybody.
std::string placeholder_of(std::string_view type) {
  if (type == "INT" || type == "UINT") {
    return "N";
  }
  return type == "FLOAT" ? "X" : std::string(type);
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  return fmt::format("{}", fmt::join(parts, between));
}

/// "not with --json", "" for an option that goes with all.
std::string exclusions_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (CLI::Option* other : option.get_excludes()) {
    names.push_back(other->get_name());
  }
  std::sort(names.begin(), names.end());
  return names.empty() ? "" : fmt::format("not with {}", joined(names, ", "));
}

CommandOption describe_option(const CLI::Option& option) {
  CommandOption made;
  const bool positional = option.get_positional();
  const std::string type = option.get_type_name();  // "TYPE" or "TYPE:what is valid"
  const std::size_t colon = std::min(type.find(':'), type.size());
  const std::string valid = type.substr(colon);
  made.required = option.get_required();
  made.repeats = option.get_expected_max() > 1 && option.get_allow_extra_args();
  made.description = option.get_description();
  std::vector<std::string> facts;
  if (option.get_items_expected_max() > 0) {
    made.words = words_of(valid);
    made.value =
        made.words.empty() ? placeholder_of(type.substr(0, colon)) : joined(made.words, "|");
    made.kind = made.words.empty() ? kind_of(made.value) : ValueKind::kWord;
    facts.push_back(range_of(valid));
    if (!option.get_default_str().empty()) {
      facts.push_back(fmt::format("default {}", option.get_default_str()));
    }
  }
  facts.push_back(exclusions_of(option));
  std::erase(facts, "");
  if (!facts.empty()) {
    made.description += fmt::format(" ({})", joined(facts, "; "));
  }
  if (positional) {
    made.names = {made.value};
    return made;
  }
  for (const std::string& name : option.get_snames()) {
    made.names.push_back(fmt::format("-{}", name));
  }
  for (const std::string& name : option.get_lnames()) {
    made.names.push_back(fmt::format("--{}", name));
  }
  return made;
}

/// A footer's lines: "Example: ..." is a command line, all others are paragraphs, which a line that
/// begins with a small letter continues.
void take_footer(const std::string& footer, Command& command) {
  constexpr std::string_view kExample = "Example: ";
  std::stringstream lines(footer);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(kExample)) {
      command.examples.push_back(line.substr(kExample.size()));
    } else if (!command.notes.empty() && !line.empty() && line.front() >= 'a' &&
               line.front() <= 'z') {
      command.notes.back() += " " + line;
    } else if (!line.empty()) {
      command.notes.push_back(line);
    }
  }
}

}  // namespace

Command describe_command(const CLI::App& app) {
  Command command;
  for (const CLI::App* at = &app; at != nullptr; at = at->get_parent()) {
    command.path.insert(command.path.begin(), at->get_name());
  }
  command.description = app.get_description();
  take_footer(app.get_footer(), command);
  for (const CLI::Option* option : app.get_options()) {
    std::vector<CommandOption>& list =
        option->get_positional() ? command.arguments : command.options;
    list.push_back(describe_option(*option));
  }
  for (const CLI::App* below : app.get_subcommands([](const CLI::App*) { return true; })) {
    command.commands.push_back(describe_command(*below));
  }
  return command;
}

std::string joined_path(const Command& command, std::string_view between) {
  return joined(command.path, between);
}

std::string usage_of(const Command& command) {
  std::string usage = joined_path(command, " ") + " [OPTIONS]";
  for (const CommandOption& argument : command.arguments) {
    const std::string word = argument.value + (argument.repeats ? "..." : "");
    usage += fmt::format(fmt::runtime(argument.required ? " {}" : " [{}]"), word);
  }
  return command.commands.empty() ? usage : usage + " COMMAND";
}

}  // namespace moesim::cli
