// SPDX-License-Identifier: Apache-2.0
#include "sim/cli/completion.hpp"
#include "sim/scenario/data_folder.hpp"
#include "sim/scenario/fields.hpp"

namespace moesim::cli {

std::vector<SettingWords> setting_words() {
  std::vector<SettingWords> settings;
  const KnownPaths known = known_paths();
  for (const std::string& key : known.keys) {
    const auto words = known.words.find(key);
    settings.push_back(
        {key, words == known.words.end() ? std::vector<std::string>() : words->second});
    for (const PresetTable& table : preset_tables()) {
      if (key == std::string(table.table) + ".preset") {
        settings.back().words = preset_names(data_folder() / table.folder);
      }
    }
  }
  return settings;
}

}  // namespace moesim::cli
