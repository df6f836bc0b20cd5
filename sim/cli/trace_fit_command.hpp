// SPDX-License-Identifier: Apache-2.0
// `moesim trace fit` and `moesim trace generate`.
#pragma once

namespace CLI {
class App;
}

namespace moesim::cli {

void add_trace_fit(CLI::App& trace);
void add_trace_generate(CLI::App& trace);

}  // namespace moesim::cli
