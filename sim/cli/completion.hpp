// SPDX-License-Identifier: Apache-2.0
// Shell completion: commands, options, their words, files, and the keys that --set takes.
#pragma once

#include <string>
#include <vector>

#include "sim/cli/command_tree.hpp"

namespace moesim::cli {

/// A key of a scenario with the words that it takes, none for a number or a free text.
struct SettingWords {
  std::string key;
  std::vector<std::string> words;
};

/// Every key of a scenario; a preset's words are the files of the data folder.
[[nodiscard]] std::vector<SettingWords> setting_words();

/// Scripts that bash, zsh (#compdef) and fish read. They need nothing but the shell.
[[nodiscard]] std::string bash_completion(const Command& program,
                                          const std::vector<SettingWords>& settings);
[[nodiscard]] std::string zsh_completion(const Command& program,
                                         const std::vector<SettingWords>& settings);
[[nodiscard]] std::string fish_completion(const Command& program,
                                          const std::vector<SettingWords>& settings);

}  // namespace moesim::cli
