// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "sim/cli/completion.hpp"

namespace moesim::cli {
namespace {

std::string quoted_for_fish(std::string_view text) {
  std::string made;
  for (const char c : text) {
    made += c == '\'' || c == '\\' ? "\\" : "";
    made += c;
  }
  return made;
}

/// What may follow: no file (-f) unless one is asked for.
std::string fish_offer(const CommandOption& option) {
  switch (option.kind) {
    case ValueKind::kWord:
      return fmt::format(" -x -a '{}'", fmt::join(option.words, " "));
    case ValueKind::kToml:
    case ValueKind::kFile:
      return " -r -F";
    case ValueKind::kFolder:
      return " -x -a '(__fish_complete_directories)'";
    case ValueKind::kSetting:
      return " -x -a '(__moesim_settings)'";
    case ValueKind::kNone:
      return " -f";
    case ValueKind::kOther:
      break;
  }
  return " -x";
}

std::string argument_offer(const CommandOption& argument) {
  switch (argument.kind) {
    case ValueKind::kToml:
      return " -f -a '(__fish_complete_suffix .toml)'";
    case ValueKind::kFile:
      return " -F";
    default:
      return fish_offer(argument);
  }
}

std::string lines(const Command& command) {
  const std::vector<std::string> words(command.path.begin() + 1, command.path.end());
  const std::string head =
      fmt::format("complete -c moesim -n '__moesim_at {}'", fmt::join(words, " "));
  std::string text;
  for (const Command& below : command.commands) {
    text += fmt::format(
        "{} -f -a {} -d '{}'\n", head, below.path.back(), quoted_for_fish(below.description));
  }
  for (const CommandOption& argument : command.arguments) {
    text += head + argument_offer(argument) + "\n";
  }
  for (const CommandOption& option : command.options) {
    std::string names;
    for (const std::string& name : option.names) {
      names += name.starts_with("--") ? fmt::format(" -l {}", name.substr(2))
                                      : fmt::format(" -s {}", name.substr(1));
    }
    text += fmt::format(
        "{}{}{} -d '{}'\n", head, names, fish_offer(option), quoted_for_fish(option.description));
  }
  for (const Command& below : command.commands) {
    text += lines(below);
  }
  return text;
}

/// Names of commands that have commands below them: their next word is one, too.
std::string inner_names(const Command& command) {
  std::string text;
  for (const Command& below : command.commands) {
    text += below.commands.empty() ? "" : fmt::format(" {}", below.path.back());
  }
  return text;
}

}  // namespace

std::string fish_completion(const Command& program, const std::vector<SettingWords>& settings) {
  std::string text = "# fish completion of moesim; made by moesim completion fish\n";
  // True when the words so far name exactly this command.
  text +=
      "function __moesim_at\n"
      "  set -l words (commandline -opc)[2..]\n"
      "  set -l path $words[1]\n"
      "  if contains -- \"$words[1]\"" +
      inner_names(program) +
      "\n    set path $words[1..2]\n  end\n"
      "  test \"$path\" = \"$argv\"\nend\n";
  text +=
      "function __moesim_settings\n  set -l pair (string split -m 1 = -- (commandline -ct))\n"
      "  if test (count $pair) -lt 2\n    printf '%s=\\n'";
  std::string cases;
  for (const SettingWords& setting : settings) {
    text += fmt::format(" {}", setting.key);
    if (!setting.words.empty()) {
      cases += fmt::format("    case {}\n      printf '%s\\n' {}={}\n",
                           setting.key,
                           setting.key,
                           fmt::join(setting.words, " " + setting.key + "="));
    }
  }
  text += "\n    return\n  end\n  switch $pair[1]\n" + cases + "  end\nend\n";
  return text + "complete -c moesim -f\n" + lines(program);
}

}  // namespace moesim::cli
