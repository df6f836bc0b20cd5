// SPDX-License-Identifier: Apache-2.0
// Options that commands share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/scenario/scenario.hpp"

namespace CLI {
class App;
}

namespace moesim::cli {

struct ScenarioOptions {
  std::filesystem::path file;
  std::vector<std::string> overrides;
  std::optional<std::uint64_t> seed;
  int threads = 0;
  bool json = false;
  bool quiet = false;
  std::filesystem::path out;
  bool strict = false;  ///< run and explain
};

/// Adds --threads, --json and --quiet.
void add_work_options(CLI::App& command, int& threads, bool& json, bool& quiet);

/// Adds SCENARIO, --set, --seed, --threads, --json, --quiet and --out.
void add_scenario_options(CLI::App& command, ScenarioOptions& options);

/// Adds --strict.
void add_strict_option(CLI::App& command, ScenarioOptions& options);

/// The scenario that the options describe; --seed wins over the file and --set.
[[nodiscard]] Scenario load(const ScenarioOptions& options);

/// The same of a file and overrides; a name for which the program that hosts the commands holds a
/// text (host.hpp) is that text.
[[nodiscard]] Scenario load(const std::filesystem::path& file,
                            const std::vector<std::string>& overrides);

}  // namespace moesim::cli
