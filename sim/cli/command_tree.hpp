// SPDX-License-Identifier: Apache-2.0
// The commands and options as values: what help, manual pages and shell completions are made from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace moesim::cli {

/// What a shell offers in the place of a value.
enum class ValueKind {
  kNone,     ///< a flag takes none
  kWord,     ///< one of CommandOption::words
  kToml,     ///< a scenario, plan or study file
  kFile,     ///< any file
  kFolder,   ///< a folder
  kSetting,  ///< KEY=VALUE of a scenario
  kOther,    ///< a number, a name
};

struct CommandOption {
  std::vector<std::string> names;  ///< "-q", "--quiet"; of an argument the word that stands for it
  std::string value;               ///< "DIR", "sim|gpu|both"; "" for a flag
  std::string description;         ///< with its default and range
  ValueKind kind = ValueKind::kNone;
  std::vector<std::string> words;  ///< kWord
  bool required = false;
  bool repeats = false;  ///< takes all the words that follow
};

struct Command {
  std::vector<std::string> path;  ///< {"moesim", "trace", "info"}
  std::string description;
  std::vector<std::string> examples;  ///< command lines
  std::vector<std::string> notes;     ///< paragraphs
  std::vector<CommandOption> arguments;
  std::vector<CommandOption> options;
  std::vector<Command> commands;
};

/// The command with all below it.
[[nodiscard]] Command describe_command(const CLI::App& app);

/// "moesim trace info" with blanks, "moesim-trace-info" with hyphens.
[[nodiscard]] std::string joined_path(const Command& command, std::string_view between);

/// "moesim run [OPTIONS] SCENARIO"
[[nodiscard]] std::string usage_of(const Command& command);

/// Help on a terminal, no line longer than 80 columns but for words that are.
[[nodiscard]] std::string help_text(const Command& command);

/// A command line that begins at column `at`, told to go on by backslashes; no option is parted
/// from its value.
[[nodiscard]] std::string wrapped_command_line(const std::string& line, std::size_t at);

/// A manual page of section 1 in groff's man macros.
[[nodiscard]] std::string man_page(const Command& command, std::string_view version);

}  // namespace moesim::cli
