// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "sim/cli/completion.hpp"

namespace moesim::cli {
namespace {

/// Inside single quotes; `special` letters are escaped for the part of _arguments that it stands
/// in.
std::string quoted(std::string_view text, std::string_view special) {
  std::string made;
  for (const char c : text) {
    if (c == '\'') {
      made += "'\\''";
    } else {
      made += special.find(c) == std::string_view::npos ? "" : "\\";
      made += c;
    }
  }
  return made;
}

std::string action(const CommandOption& option) {
  switch (option.kind) {
    case ValueKind::kWord:
      return fmt::format("({})", fmt::join(option.words, " "));
    case ValueKind::kToml:
      return "_files -g \"*.toml(-.)\"";
    case ValueKind::kFile:
      return "_files";
    case ValueKind::kFolder:
      return "_files -/";
    case ValueKind::kSetting:
      return "_moesim_settings";
    case ValueKind::kNone:
    case ValueKind::kOther:
      break;
  }
  return " ";
}

/// "_moesim_trace_info"
std::string function_name(const Command& command) {
  std::string name = fmt::format("_{}", joined_path(command, "_"));
  for (char& c : name) {
    c = c == '-' ? '_' : c;
  }
  return name;
}

std::string specs(const Command& command) {
  std::string text;
  for (const CommandOption& option : command.options) {
    for (const std::string& name : option.names) {
      text += fmt::format(" \\\n    '*{}[{}]", name, quoted(option.description, "[]:\\"));
      if (option.kind != ValueKind::kNone) {
        text += fmt::format(":{}:{}", quoted(option.value, ":"), quoted(action(option), ""));
      }
      text += "'";
    }
  }
  for (const CommandOption& argument : command.arguments) {
    text += fmt::format(" \\\n    '{}:{}:{}'",
                        argument.repeats ? "*" : "",
                        quoted(argument.value, ":"),
                        quoted(action(argument), ""));
  }
  return text;
}

std::string leaf_function(const Command& command) {
  return fmt::format("{}() {{\n  _arguments{}\n}}\n", function_name(command), specs(command));
}

std::string inner_function(const Command& command) {
  std::string names;
  std::string cases;
  for (const Command& below : command.commands) {
    names += fmt::format("\n    '{}:{}'", below.path.back(), quoted(below.description, ":"));
    cases += fmt::format("    {}) {} ;;\n", below.path.back(), function_name(below));
  }
  return fmt::format(
      "{}() {{\n  local state\n  local -a commands=({})\n  _arguments -C{} \\\n"
      "    '1:command:->command' '*::argument:->argument'\n"
      "  case $state in\n    command) _describe command commands ;;\n"
      "    argument) case $words[1] in\n{}    esac ;;\n  esac\n}}\n",
      function_name(command),
      names,
      specs(command),
      cases);
}

std::string functions(const Command& command) {
  std::string text;
  for (const Command& below : command.commands) {
    text += functions(below);
  }
  return text + (command.commands.empty() ? leaf_function(command) : inner_function(command));
}

}  // namespace

std::string zsh_completion(const Command& program, const std::vector<SettingWords>& settings) {
  std::string keys;
  std::string cases;
  for (const SettingWords& setting : settings) {
    keys += fmt::format(" {}", setting.key);
    if (!setting.words.empty()) {
      cases +=
          fmt::format("      {}) compadd -- {} ;;\n", setting.key, fmt::join(setting.words, " "));
    }
  }
  return "#compdef moesim\n# zsh completion of moesim; made by moesim completion zsh\n" +
         fmt::format(
             "_moesim_settings() {{\n  if compset -P 1 '*='; then\n    case ${{IPREFIX%=}} in\n{}  "
             "  esac\n"
             "  else\n    compadd -S = --{}\n  fi\n}}\n",
             cases,
             keys) +
         functions(program) +
         // Read as a file of fpath this is the body of _moesim; sourced, it has to be registered.
         "if [[ $funcstack[1] == _moesim ]]; then\n  _moesim \"$@\"\nelse\n  compdef _moesim "
         "moesim\nfi\n";
}

}  // namespace moesim::cli
