// SPDX-License-Identifier: Apache-2.0
// text -> overrides -> presets -> fields -> checks across keys -> Scenario, or every mistake.
#include <fmt/core.h>

#include <algorithm>
#include <system_error>
#include <tuple>
#include <utility>

#include "sim/core/atomic_file.hpp"
#include "sim/core/text.hpp"
#include "sim/scenario/calibration_choice.hpp"
#include "sim/scenario/cross_checks.hpp"
#include "sim/scenario/data_folder.hpp"
#include "sim/scenario/field_reader.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/load_settings.hpp"
#include "sim/scenario/make_cluster.hpp"
#include "sim/scenario/price_choice.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/scenario/toml_reader.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

/// One load under way.
struct Load {
  fs::path file;
  ParsedFiles& files;
  ConfigTree tree;
  std::vector<fs::path> inputs;
  std::vector<Diagnostic> diagnostics;
  std::vector<std::string> without_preset;  ///< tables whose preset could not be found

  void report(Diagnostic diagnostic, std::string hint) {
    diagnostic.hint = std::move(hint);
    diagnostics.push_back(std::move(diagnostic));
  }
  /// All but what a preset that could not be found may well have held.
  void report_fields(const std::vector<Diagnostic>& more) {
    for (const Diagnostic& d : more) {
      const auto holds = [&](const std::string& table) { return d.key.starts_with(table + "."); };
      if (d.message != "missing" ||
          std::none_of(without_preset.begin(), without_preset.end(), holds)) {
        diagnostics.push_back(d);
      }
    }
  }
  void report_all(const std::vector<Diagnostic>& more) {
    diagnostics.insert(diagnostics.end(), more.begin(), more.end());
  }
  /// The file whose folder a relative path of this entry starts from; "" = working directory.
  [[nodiscard]] static fs::path stating_file(const ConfigEntry& entry) {
    return entry.place.line > 0 ? fs::path(entry.place.file) : fs::path();
  }
};

std::string known_names(std::string_view name, const std::vector<std::string>& names) {
  if (names.empty()) {
    return "none is known";
  }
  const std::string near = nearest_word(name, names);
  const std::vector<std::string_view> views(names.begin(), names.end());
  return (near.empty() ? "" : fmt::format("did you mean \"{}\"? ", near)) +
         "known: " + word_list(views);
}

/// Where a preset lies, and what is wrong if it does not.
struct PresetPlace {
  fs::path file;
  std::optional<Diagnostic> mistake;
};
PresetPlace place_preset(const PresetTable& table,
                         const std::string& name,
                         const ConfigEntry& entry) {
  const bool by_path = is_path(name);
  const fs::path folder = by_path ? fs::path() : data_folder() / table.folder;
  PresetPlace place{
      .file = by_path ? beside(Load::stating_file(entry), name) : folder / (name + ".toml"),
      .mistake = std::nullopt};
  std::error_code failed;
  if (!fs::is_regular_file(place.file, failed)) {
    place.mistake = mistake_at_value(entry, quoted_text(name) + " is unknown");
    place.mistake->hint = by_path ? fmt::format("{} is no file", place.file.string())
                                  : known_names(name, preset_names(folder));
  }
  return place;
}

/// The preset's keys under its table, where the scenario does not state them itself.
void merge_preset(Load& load,
                  const PresetTable& table,
                  const std::string& name,
                  const ConfigEntry& entry) {
  PresetPlace place = place_preset(table, name, entry);
  if (place.mistake) {
    load.without_preset.emplace_back(table.table);
    load.diagnostics.push_back(*std::move(place.mistake));
    return;
  }
  const fs::path file = std::move(place.file);
  load.inputs.push_back(file);
  const std::string prefix = std::string(table.table) + ".";
  const ConfigTree& preset = load.files.parse(file, prefix);
  if (const ConfigEntry* inner = preset.find(entry.path)) {
    load.diagnostics.push_back(mistake_at_key(*inner, "a preset cannot name a preset"));
  }
  if (table.table == "calibration") {
    const CalibrationChoice choice = choose_kernels(preset, load.tree);
    load.report_all(choice.diagnostics);
    load.tree.add_missing(choice.constants);
    if (choice.needs_assumed) {
      const fs::path assumed = data_folder() / table.folder / "assumed.toml";
      load.inputs.push_back(assumed);
      load.tree.add_missing(load.files.parse(assumed, prefix));
    }
    return;
  }
  if (table.table == "price") {
    const PriceChoice choice = choose_prices(preset, load.tree);
    load.report_all(choice.diagnostics);
    if (choice.diagnostics.empty()) {
      load.tree.add_missing(choice.prices);
    } else {
      load.without_preset.emplace_back(table.table);
    }
    return;
  }
  load.tree.add_missing(preset);
}

/// A scenario that names no calibration and does not state all of one gets the one of its GPU.
void choose_calibration(Load& load) {
  const std::vector<Diagnostic> alone = read_fields(load.tree, load.file.string()).diagnostics;
  const bool is_whole = std::none_of(alone.begin(), alone.end(), [](const Diagnostic& d) {
    return d.message == "missing" && d.key.starts_with("calibration");
  });
  if (load.tree.find("calibration.preset") != nullptr || is_whole) {
    return;
  }
  const SourcePlace place{load.file.string(), 0, 0};
  if (load.tree.find("calibration") == nullptr) {
    load.tree.put({.path = "calibration",
                   .value = TableHeader{},
                   .place = place,
                   .value_column = 0,
                   .source_line = {}});
  }
  load.tree.put({.path = "calibration.preset",
                 .value = default_calibration(load.tree),
                 .place = place,
                 .value_column = 0,
                 .source_line = {}});
}

void merge_presets(Load& load) {
  for (const PresetTable& table : preset_tables()) {
    if (table.table == "calibration") {
      choose_calibration(load);
    }
    const ConfigEntry* found = load.tree.find(std::string(table.table) + ".preset");
    if (found == nullptr) {
      continue;
    }
    const ConfigEntry entry = *found;  // merging moves the entries
    if (const auto* name = std::get_if<std::string>(&entry.value)) {
      merge_preset(load, table, *name, entry);
    } else {
      load.without_preset.emplace_back(table.table);
      load.report(mistake_at_value(entry, kind_text(entry.value)), "expected a string");
    }
  }
}

/// Serving has no batch of its own: its requests make them.
void pardon_batch(std::vector<Diagnostic>& diagnostics, const Scenario& scenario) {
  if (scenario.step.kind == StepKind::kServing) {
    std::erase_if(diagnostics, [](const Diagnostic& d) {
      return d.message == "missing" && d.key.starts_with("batch");
    });
  }
}

/// A model with experts needs [routing].
void require_routing(Load& load, const Scenario& scenario) {
  if (load.tree.find("routing") != nullptr || is_dense(load.tree, scenario)) {
    return;
  }
  Diagnostic missing;
  missing.place.file = load.file.string();
  missing.key = "routing";
  missing.message = "missing";
  load.report(std::move(missing), "expected a table [routing]");
}

/// A name of the shipped traces, else a path seen from the file that states it.
void resolve_trace(Load& load, std::string& trace) {
  const ConfigEntry* entry = load.tree.find("routing.trace");
  if (entry == nullptr || trimmed(trace).empty()) {
    return;
  }
  std::error_code failed;
  const fs::path shipped = data_folder() / "traces";
  const fs::path by_path = beside(Load::stating_file(*entry), trace);
  const bool is_name = !is_path(trace) && fs::is_directory(shipped / trace, failed);
  const fs::path resolved = is_name ? shipped / trace : by_path;
  if (!fs::exists(resolved, failed)) {
    load.report(mistake_at_value(*entry, fmt::format("{} does not exist", resolved.string())),
                is_path(trace) ? "expected the folder of a route pack"
                               : known_names(trace, folder_names(shipped)));
  }
  trace = resolved.string();
}

void resolve_placement(Load& load, PlacementSpec& placement) {
  const ConfigEntry* entry = load.tree.find("placement.file");
  if (entry == nullptr || placement.file.empty() || placement.kind != PlacementKind::kFile) {
    return;
  }
  placement.file = beside(Load::stating_file(*entry), placement.file).string();
  std::error_code failed;
  if (!fs::is_regular_file(placement.file, failed)) {
    load.report(mistake_at_value(*entry, placement.file + " is no file"),
                "expected a placement file");
  }
}

void resolve_graphml(Load& load, std::string& graphml) {
  const ConfigEntry* entry = load.tree.find("cluster.graphml");
  if (entry == nullptr || graphml.empty()) {
    return;
  }
  graphml = beside(Load::stating_file(*entry), graphml).string();
  std::error_code failed;
  if (fs::is_regular_file(graphml, failed)) {
    load.inputs.emplace_back(graphml);
  } else {
    load.report(mistake_at_value(*entry, graphml + " is no file"), "expected a GraphML file");
  }
}

void resolve_requests(Load& load, const Scenario& scenario, std::string& path) {
  const ConfigEntry* entry = load.tree.find("requests.path");
  if (entry == nullptr || trimmed(path).empty() || scenario.step.kind != StepKind::kServing ||
      scenario.requests.source == ArrivalSource::kPoisson) {
    return;
  }
  path = beside(Load::stating_file(*entry), path).string();
  std::error_code failed;
  if (fs::is_regular_file(path, failed)) {
    load.inputs.emplace_back(path);
  } else {
    load.report(mistake_at_value(*entry, path + " is no file"), "expected a trace of arrivals");
  }
}

/// By file in order of reading, then by place; overrides last.
void sort_by_place(std::vector<Diagnostic>& diagnostics, const std::vector<fs::path>& inputs) {
  const auto key = [&](const Diagnostic& d) {
    const auto file = std::find(inputs.begin(), inputs.end(), fs::path(d.place.file));
    return std::tuple(file - inputs.begin(), d.place.line, d.place.column);
  };
  std::stable_sort(diagnostics.begin(),
                   diagnostics.end(),
                   [&](const Diagnostic& a, const Diagnostic& b) { return key(a) < key(b); });
}

/// The scenario of the texts and overrides that `load` has so far.
Scenario finish(Load load) {
  merge_presets(load);
  FieldReading reading = read_fields(load.tree, load.file.string());
  pardon_batch(reading.diagnostics, reading.scenario);
  load.report_fields(reading.diagnostics);
  require_routing(load, reading.scenario);
  load.report_all(cross_checks(load.tree, reading));
  resolve_trace(load, reading.scenario.routing.trace);
  resolve_placement(load, reading.scenario.placement);
  resolve_graphml(load, reading.scenario.cluster.graphml);
  resolve_requests(load, reading.scenario, reading.scenario.requests.path);
  if (load.diagnostics.empty()) {
    load.report_all(cluster_checks(reading.scenario, load.tree));
  }
  if (!load.diagnostics.empty()) {
    sort_by_place(load.diagnostics, load.inputs);
    throw UserError(std::move(load.diagnostics));
  }
  reading.scenario.inputs = std::move(load.inputs);
  return std::move(reading.scenario);
}

Load begin(const fs::path& file, ParsedFiles& files, ConfigTree tree) {
  return {.file = file,
          .files = files,
          .tree = std::move(tree),
          .inputs = {file},
          .diagnostics = {},
          .without_preset = {}};
}

void apply_overrides(Load& load, const std::vector<Override>& overrides) {
  for (const Override& text : overrides) {
    try {
      apply_override(load.tree, text);
    } catch (const UserError& error) {
      load.report_all(error.diagnostics());
    }
  }
}

}  // namespace

const ConfigTree& ParsedFiles::parse(const fs::path& file, std::string_view prefix) {
  const std::scoped_lock lock(mutex_);
  auto key = std::pair(file.string(), std::string(prefix));
  auto known = trees_.find(key);
  if (known == trees_.end()) {
    ConfigTree tree = parse_toml(read_file(file), file.string(), prefix);
    known = trees_.emplace(std::move(key), std::move(tree)).first;
  }
  return known->second;
}

Scenario load_scenario(const fs::path& file, const std::vector<Override>& overrides) {
  ParsedFiles files;
  Load load = begin(file, files, files.parse(file));
  apply_overrides(load, overrides);
  return finish(std::move(load));
}

Scenario load_scenario(const fs::path& file,
                       std::span<const ConfigEntry> settings,
                       ParsedFiles& files) {
  Load load = begin(file, files, files.parse(file));
  for (const ConfigEntry& setting : settings) {
    load.tree.put_with_tables(setting);
  }
  return finish(std::move(load));
}

Scenario peek_scenario(const fs::path& file,
                       std::span<const ConfigEntry> settings,
                       ParsedFiles& files) {
  Load load = begin(file, files, files.parse(file));
  for (const ConfigEntry& setting : settings) {
    load.tree.put_with_tables(setting);
  }
  merge_presets(load);
  return std::move(read_fields(load.tree, file.string()).scenario);
}

Scenario load_resolved(std::string_view text, const std::string& name) {
  ParsedFiles files;
  return finish(begin(name, files, parse_toml(text, name)));
}

Scenario load_text(std::string_view text,
                   const std::string& name,
                   const std::vector<Override>& overrides) {
  ParsedFiles files;
  Load load = begin(name, files, parse_toml(text, name));
  apply_overrides(load, overrides);
  Scenario scenario = finish(std::move(load));
  scenario.inputs.erase(scenario.inputs.begin());
  return scenario;
}

std::vector<Diagnostic> setting_mistakes(const ConfigEntry& setting) {
  ConfigTree tree;
  tree.put_with_tables(setting);
  std::vector<Diagnostic> mistakes;
  for (Diagnostic& d : read_fields(tree, setting.place.file).diagnostics) {
    if (d.key == setting.path || setting.path.starts_with(d.key + ".")) {
      mistakes.push_back(std::move(d));
    }
  }
  for (const PresetTable& table : preset_tables()) {
    if (setting.path != std::string(table.table) + ".preset") {
      continue;
    }
    const auto* name = std::get_if<std::string>(&setting.value);
    std::optional<Diagnostic> mistake;
    if (name == nullptr) {
      mistake = mistake_at_value(setting, kind_text(setting.value));
      mistake->hint = "expected a string";
    } else {
      mistake = place_preset(table, *name, setting).mistake;
    }
    if (mistake) {
      mistakes.push_back(*std::move(mistake));
    }
  }
  return mistakes;
}

}  // namespace moesim
