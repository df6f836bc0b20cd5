// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/calibration_choice.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "sim/core/text.hpp"
#include "sim/scenario/data_folder.hpp"

namespace moesim {
namespace {

/// A family of kernel tables in a calibration file.
struct Family {
  std::string_view tables;  ///< "calibration.experts."
  std::string_view key;     ///< scenario key that names a kernel
  std::string_view fit;     ///< where the fit goes
};
constexpr Family kExperts{
    "calibration.experts.", "calibration.expert_kernel", "calibration.expert_fit"};
constexpr Family kCommunication{"calibration.communication.",
                                "calibration.communication_kernel",
                                "calibration.communication_fit"};
constexpr std::string_view kDefaults = "calibration.default.";

std::string text_of(const ConfigTree& tree, std::string_view path, std::string fallback) {
  const ConfigEntry* entry = tree.find(path);
  const auto* text = entry == nullptr ? nullptr : std::get_if<std::string>(&entry->value);
  return text == nullptr ? std::move(fallback) : *text;
}

/// The key of [default] that the scenario's dispatcher asks for.
std::string dispatcher_key(const ConfigTree& scenario) {
  const std::string dispatcher = text_of(scenario, "dispatch.dispatcher", "pairwise");
  const ConfigEntry* scale_up = scenario.find("dispatch.scale_up");
  const bool* flag = scale_up == nullptr ? nullptr : std::get_if<bool>(&scale_up->value);
  const bool without = dispatcher == "low_latency" && flag != nullptr && !*flag;
  return dispatcher + (without ? "_without_scale_up" : "");
}

/// The key of [default] for the model's experts: experts_bf16 where the file has one and the GEMMs
/// are not fp8, else experts.
std::string experts_key(const ConfigTree& preset, const ConfigTree& scenario) {
  const std::string key = "experts_bf16";
  const bool has = preset.find(std::string(kDefaults) + key) != nullptr;
  return has && text_of(scenario, "model.weight_dtype", "bf16") != "fp8" ? key : "experts";
}

bool is_in_tables(std::string_view path) {
  const auto in = [&](std::string_view prefix) {
    return path.starts_with(prefix) || path == prefix.substr(0, prefix.size() - 1);
  };
  return in(kExperts.tables) || in(kCommunication.tables) || in(kDefaults);
}

std::vector<std::string> kernels_of(const ConfigTree& preset, const Family& family) {
  std::vector<std::string> names;
  for (const ConfigEntry& entry : preset.entries()) {
    if (entry.is_table() && entry.path.starts_with(family.tables)) {
      const std::string name = entry.path.substr(family.tables.size());
      if (name.find('.') == std::string::npos) {
        names.push_back(name);
      }
    }
  }
  return names;
}

void put_renamed(ConfigTree& tree, ConfigEntry entry, std::string path) {
  entry.path = std::move(path);
  tree.put(std::move(entry));
}

/// Moves the table of `kernel` to the flat keys.
void take_kernel(CalibrationChoice& choice,
                 const ConfigTree& preset,
                 const ConfigTree& scenario,
                 const Family& family,
                 const std::string& kernel) {
  const std::string table = std::string(family.tables) + kernel;
  const std::string fit = table + ".fit";
  bool is_changed = false;
  std::vector<ConfigEntry> fit_entries;
  for (const ConfigEntry& entry : preset.entries()) {
    if (entry.path == table) {
      ConfigEntry name = entry;
      name.value = kernel;
      put_renamed(choice.constants, std::move(name), std::string(family.key));
    } else if (entry.path == fit || entry.path.starts_with(fit + ".")) {
      fit_entries.push_back(entry);
    } else if (entry.path.starts_with(table + ".")) {
      const std::string flat = "calibration." + entry.path.substr(table.size() + 1);
      is_changed = is_changed || scenario.find(flat) != nullptr;
      put_renamed(choice.constants, entry, flat);
    }
  }
  if (is_changed) {
    return;
  }
  for (ConfigEntry& entry : fit_entries) {
    const bool is_table = entry.path == fit;
    const std::string flat = std::string(family.fit) + entry.path.substr(fit.size());
    ConfigEntry name = entry;
    put_renamed(choice.constants, std::move(entry), flat);
    if (is_table) {
      name.value = kernel;
      put_renamed(choice.constants, std::move(name), flat + ".kernel");
    }
  }
}

void choose_one(CalibrationChoice& choice,
                const ConfigTree& preset,
                const ConfigTree& scenario,
                const Family& family,
                const std::string& default_key) {
  const ConfigEntry* stated = scenario.find(family.key);
  const std::string fallback = text_of(preset, std::string(kDefaults) + default_key, "");
  const std::string kernel = text_of(scenario, family.key, fallback);
  const std::vector<std::string> known = kernels_of(preset, family);
  if (kernel.empty()) {
    return;
  }
  if (std::find(known.begin(), known.end(), kernel) == known.end()) {
    const ConfigEntry* named =
        stated != nullptr ? stated : preset.find(std::string(kDefaults) + default_key);
    Diagnostic mistake = mistake_at_value(*named, quoted_text(kernel) + " is unknown");
    const std::vector<std::string_view> views(known.begin(), known.end());
    mistake.hint =
        known.empty() ? "the calibration has no such tables" : "known: " + word_list(views);
    choice.diagnostics.push_back(std::move(mistake));
    return;
  }
  take_kernel(choice, preset, scenario, family, kernel);
}

}  // namespace

std::string default_calibration(const ConfigTree& scenario) {
  std::string name = text_of(scenario, "cluster.gpu.name", "");
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  std::error_code failed;
  const bool is_plain = !name.empty() && name.find_first_of("/\\.") == std::string::npos;
  const auto file = data_folder() / "calibration" / (name + ".toml");
  return is_plain && std::filesystem::is_regular_file(file, failed) ? name : "assumed";
}

CalibrationChoice choose_kernels(const ConfigTree& preset, const ConfigTree& scenario) {
  CalibrationChoice choice;
  for (const ConfigEntry& entry : preset.entries()) {
    if (is_in_tables(entry.path)) {
      choice.needs_assumed = true;
    } else {
      choice.constants.put(entry);
    }
  }
  if (!choice.needs_assumed) {
    return choice;
  }
  choose_one(choice, preset, scenario, kExperts, experts_key(preset, scenario));
  choose_one(choice, preset, scenario, kCommunication, dispatcher_key(scenario));
  return choice;
}

}  // namespace moesim
