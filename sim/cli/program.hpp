// SPDX-License-Identifier: Apache-2.0
// The command line as a whole: every command, and the words that choose one.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace moesim::cli {

[[nodiscard]] std::unique_ptr<CLI::App> make_program();

/// Runs the command that `words` (without the program's name) choose. Throws what commands throw,
/// UserError for an unknown command, and CLI::Error for options and for --help.
void run_words(CLI::App& program, const std::vector<std::string>& words);

}  // namespace moesim::cli
