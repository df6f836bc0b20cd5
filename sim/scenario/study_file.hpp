// SPDX-License-Identifier: Apache-2.0
// The TOML file of a sweep: docs/sweep.md has its keys.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "sim/scenario/config_tree.hpp"
#include "sim/scenario/load_settings.hpp"
#include "sim/study/sweep_study.hpp"

namespace moesim {

struct StudyFile {
  std::filesystem::path file;
  std::string name;                  ///< key `name`, else the file's own without its ending
  std::filesystem::path scenario;    ///< seen from the working directory
  std::vector<std::string> metrics;  ///< as stated; empty: the default ones
  SweepStudy study;
  std::vector<ConfigEntry> entries;  ///< of SweepSetting::entry
};

/// Reads and checks a study: its own keys, that no key is varied twice, and every value by itself
/// against the scenario key it is for. Throws UserError with all mistakes at once.
[[nodiscard]] StudyFile read_study(const std::filesystem::path& file);
/// The same of a file parsed already (parse_toml_items), in which `others` are tables of another
/// reader.
[[nodiscard]] StudyFile read_study(const std::filesystem::path& file,
                                   const ConfigTree& tree,
                                   const std::vector<std::string>& others);

/// The scenario of one of expand(study.study). Throws UserError.
[[nodiscard]] Scenario load_point(const StudyFile& study,
                                  const SweepChoice& point,
                                  ParsedFiles& files);

}  // namespace moesim
