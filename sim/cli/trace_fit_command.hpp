// SPDX-License-Identifier: Apache-2.0
// `moesim trace fit`, `generate` and `learn`.
#pragma once

namespace CLI {
class App;
}

namespace moesim::cli {

void add_trace_fit(CLI::App& trace);
void add_trace_generate(CLI::App& trace);
void add_trace_learn(CLI::App& trace);

}  // namespace moesim::cli
