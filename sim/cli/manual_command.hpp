// SPDX-License-Identifier: Apache-2.0
// The commands that are made from all the others.
#pragma once

namespace CLI {
class App;
}

namespace moesim::cli {

void add_manual_command(CLI::App& app);
void add_completion_command(CLI::App& app);

}  // namespace moesim::cli
