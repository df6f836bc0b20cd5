// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "sim/cli/completion.hpp"

namespace moesim::cli {
namespace {

std::string list(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

/// The words after moesim: "" for the program itself, "trace info".
std::string words_below(const Command& command) {
  return list({command.path.begin() + 1, command.path.end()});
}

std::string bash_offer(const CommandOption& option) {
  switch (option.kind) {
    case ValueKind::kWord:
      return fmt::format("_moesim_words '{}'", list(option.words));
    case ValueKind::kToml:
      return "_moesim_files toml";
    case ValueKind::kFile:
      return "_moesim_files";
    case ValueKind::kFolder:
      return "_moesim_folders";
    case ValueKind::kSetting:
      return "_moesim_settings";
    case ValueKind::kNone:
    case ValueKind::kOther:
      break;
  }
  return ":";
}

std::string value_cases(const Command& command) {
  std::string text;
  for (const CommandOption& option : command.options) {
    for (const std::string& name : option.names) {
      if (option.kind != ValueKind::kNone) {
        text += fmt::format(
            "    '{} {}') {}; return ;;\n", words_below(command), name, bash_offer(option));
      }
    }
  }
  for (const Command& below : command.commands) {
    text += value_cases(below);
  }
  return text;
}

/// What stands where no option's value does: commands, options, files.
std::string word_cases(const Command& command) {
  std::vector<std::string> options;
  for (const CommandOption& option : command.options) {
    options.insert(options.end(), option.names.begin(), option.names.end());
  }
  std::vector<std::string> commands;
  for (const Command& below : command.commands) {
    commands.push_back(below.path.back());
  }
  std::string text = fmt::format(
      "    '{}')\n      _moesim_options '{}' && return\n", words_below(command), list(options));
  if (!commands.empty()) {
    text += fmt::format("      _moesim_words '{}' ;;\n", list(commands));
  } else if (!command.arguments.empty()) {
    text += fmt::format("      {} ;;\n", bash_offer(command.arguments.front()));
  } else {
    text += "      ;;\n";
  }
  for (const Command& below : command.commands) {
    text += word_cases(below);
  }
  return text;
}

/// Paths of the commands that have commands below them, as patterns of a case.
std::string inner_paths(const Command& command) {
  std::string text;
  for (const Command& below : command.commands) {
    text += fmt::format("'{}'|", words_below(below)) + inner_paths(below);
  }
  return text;
}

constexpr std::string_view kHelpers = R"(# bash completion of moesim; made by moesim completion bash
_moesim_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }
_moesim_options() { [[ $cur == -* ]] && _moesim_words "$1"; }
_moesim_folders() { compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); }
_moesim_files() {
  compopt -o filenames
  local IFS=$'\n'
  if [[ $1 ]]; then
    COMPREPLY=($(compgen -d -- "$cur"; compgen -f -X "!*.$1" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
_moesim_values() {
  case $1 in
)";

}  // namespace

std::string bash_completion(const Command& program, const std::vector<SettingWords>& settings) {
  std::string text(kHelpers);
  std::vector<std::string> keys;
  for (const SettingWords& setting : settings) {
    keys.push_back(setting.key + "=");
    if (!setting.words.empty()) {
      text += fmt::format("    {}) _moesim_words '{}' ;;\n", setting.key, list(setting.words));
    }
  }
  text += "  esac\n}\n_moesim_settings() {\n  compopt -o nospace\n  _moesim_words '" + list(keys) +
          "'\n}\n";
  std::string known = inner_paths(program);
  known.pop_back();
  // Bash may part words at "=": --set KEY=VALUE is then four of them, --engine=fluid three.
  text += R"(_moesim() {
  local cur=${COMP_WORDS[COMP_CWORD]} at=$((COMP_CWORD - 1)) path= word
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:at}"; do
    case ${path:+$path }$word in
      )" + known +
          R"() path=${path:+$path }$word ;;
      *) break ;;
    esac
  done
  [[ $cur == = ]] && cur= && ((++at))
  if [[ ${COMP_WORDS[at]} == = ]]; then
    ((--at))
    [[ ${COMP_WORDS[at]} == -* ]] || { _moesim_values "${COMP_WORDS[at]}"; return; }
  elif [[ ${COMP_WORDS[at]} == --set* && $cur == *=* ]]; then
    local key=${cur%%=*}
    cur=${cur#*=}
    _moesim_values "$key"
    COMPREPLY=("${COMPREPLY[@]/#/$key=}")
    return
  fi
  case "$path ${COMP_WORDS[at]}" in
)" + value_cases(program) +
          "  esac\n  case $path in\n" + word_cases(program) +
          "  esac\n}\ncomplete -F _moesim moesim\n";
  return text;
}

}  // namespace moesim::cli
