// SPDX-License-Identifier: Apache-2.0
// `moesim man` and `moesim completion`: both made from the options themselves.
#include "sim/cli/manual_command.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sim/cli/command_tree.hpp"
#include "sim/cli/completion.hpp"
#include "sim/cli/console.hpp"
#include "sim/core/atomic_file.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"

namespace moesim::cli {
namespace {

void write_pages(const Command& command, const std::filesystem::path& folder) {
  write_file_atomically(folder / (joined_path(command, "-") + ".1"),
                        man_page(command, MOESIM_VERSION));
  for (const Command& below : command.commands) {
    write_pages(below, folder);
  }
}

const Command& find_command(const Command& program, const std::vector<std::string>& words) {
  const Command* at = &program;
  for (const std::string& word : words) {
    std::vector<std::string> known;
    const Command* next = nullptr;
    for (const Command& below : at->commands) {
      known.push_back(below.path.back());
      next = known.back() == word ? &below : next;
    }
    if (next == nullptr) {
      const std::string near = nearest_word(word, known);
      throw UserError(fmt::format("man: {} has no command {}{}",
                                  joined_path(*at, " "),
                                  quoted_text(word),
                                  near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
    }
    at = next;
  }
  return *at;
}

/// A command and those below it as words that may follow `path`, without options.
Command as_words(const Command& command, std::vector<std::string> path) {
  Command words;
  words.path = std::move(path);
  words.description = command.description;
  for (const Command& below : command.commands) {
    std::vector<std::string> longer = words.path;
    longer.push_back(below.path.back());
    words.commands.push_back(as_words(below, std::move(longer)));
  }
  return words;
}

/// The program as shells are to know it: what follows "moesim man" are its commands.
Command command_for_shells(const CLI::App& app) {
  Command program = describe_command(app);
  for (Command& command : program.commands) {
    if (command.path.back() == "man") {
      command.commands = as_words(program, command.path).commands;
      command.arguments.clear();
      break;
    }
  }
  return program;
}

}  // namespace

void add_manual_command(CLI::App& app) {
  auto words = std::make_shared<std::vector<std::string>>();
  auto out = std::make_shared<std::filesystem::path>();
  CLI::App* command =
      app.add_subcommand("man", "The manual page of a command (groff), made from its --help");
  command->add_option("command", *words, "the command; the program itself if left out")
      ->type_name("COMMAND");
  command
      ->add_option("--out", *out, "write all pages into this folder: moesim.1, moesim-run.1, ...")
      ->type_name("DIR");
  command->footer("Example: moesim man trace info | man -l -");
  command->callback([&app, words, out] {
    const Command program = describe_command(app);
    const Command& chosen = find_command(program, *words);
    if (out->empty()) {
      print(man_page(chosen, MOESIM_VERSION));
    } else {
      write_pages(chosen, *out);
    }
  });
}

void add_completion_command(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "completion", "A script that teaches a shell the commands, options and keys of --set");
  command->add_option("shell", *shell, "the shell that reads the script")
      ->required()
      ->type_name("SHELL")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(
      "bash: eval \"$(moesim completion bash)\" in ~/.bashrc; zsh: the same in ~/.zshrc after "
      "compinit; "
      "fish: moesim completion fish > ~/.config/fish/completions/moesim.fish. An installed moesim "
      "has "
      "them already.\n"
      "Example: moesim completion bash > ~/.local/share/bash-completion/completions/moesim");
  command->callback([&app, shell] {
    const Command program = command_for_shells(app);
    const std::vector<SettingWords> settings = setting_words();
    print(*shell == "bash"  ? bash_completion(program, settings)
          : *shell == "zsh" ? zsh_completion(program, settings)
                            : fish_completion(program, settings));
  });
}

}  // namespace moesim::cli
