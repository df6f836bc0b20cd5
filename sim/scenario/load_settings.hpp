// SPDX-License-Identifier: Apache-2.0
// Many scenarios that differ in a few settings, loaded from one file: what a sweep does.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "sim/scenario/config_tree.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim {

/// Files parsed once, however often they are asked for; from any thread.
class ParsedFiles {
 public:
  /// As parse_toml(read_file(file), ...); valid as long as this object.
  const ConfigTree& parse(const std::filesystem::path& file, std::string_view prefix = {});

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, ConfigTree> trees_;
};

/// load_scenario with settings that have a place of their own: their mistakes are shown there, and
/// relative paths in them start at the folder of the file that states them.
[[nodiscard]] Scenario load_scenario(const std::filesystem::path& file,
                                     std::span<const ConfigEntry> settings,
                                     ParsedFiles& files);

/// Its keys alone, whatever is wrong with them: what is missing or wrong has its default.
[[nodiscard]] Scenario peek_scenario(const std::filesystem::path& file,
                                     std::span<const ConfigEntry> settings,
                                     ParsedFiles& files);

/// The scenario of a resolved text; `name` stands for it in messages.
[[nodiscard]] Scenario load_resolved(std::string_view text, const std::string& name);

/// load_scenario of a text that is no file: `name` stands for it in messages, relative paths start
/// at the working directory, and the text is none of the scenario's inputs.
[[nodiscard]] Scenario load_text(std::string_view text,
                                 const std::string& name,
                                 const std::vector<Override>& overrides);

/// What is wrong with one setting whatever else the scenario says: unknown key, wrong kind, out of
/// range, no such preset.
[[nodiscard]] std::vector<Diagnostic> setting_mistakes(const ConfigEntry& setting);

}  // namespace moesim
