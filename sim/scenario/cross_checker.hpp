// SPDX-License-Identifier: Apache-2.0
// What the checks across keys share; used inside this folder only.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/scenario/cross_checks.hpp"

namespace moesim {

class CrossChecker {
 public:
  CrossChecker(const ConfigTree& tree, const FieldReading& reading)
      : tree_(tree), reading_(reading) {}

  [[nodiscard]] bool given(std::string_view path) const { return tree_.find(path) != nullptr; }

  /// "model.num_experts = 64 (scenarios/x.toml:12)"; a value that is not stated is a default.
  template <typename Value>
  [[nodiscard]] std::string other(std::string_view path, const Value& value) const {
    const ConfigEntry* entry = tree_.find(path);
    std::string where = "default";
    if (entry != nullptr) {
      where = entry->place.line > 0 ? fmt::format("{}:{}", entry->place.file, entry->place.line)
                                    : entry->place.file;
    }
    return fmt::format("{} = {} ({})", path, value, where);
  }

  /// Reports `message` at `path` when `broken`, unless a key involved has a mistake of its own.
  void check(bool broken,
             std::string_view path,
             std::initializer_list<std::string_view> others,
             std::string message) {
    if (!broken || !usable(path) ||
        !std::all_of(others.begin(), others.end(), [&](auto& other) { return usable(other); })) {
      return;
    }
    const ConfigEntry* entry = tree_.find(path);
    for (const std::string_view candidate : others) {
      entry = entry == nullptr ? tree_.find(candidate) : entry;
    }
    Diagnostic mistake = entry == nullptr ? Diagnostic{} : mistake_at_value(*entry, {});
    mistake.key = path;
    mistake.message = std::move(message);
    found.push_back(std::move(mistake));
  }

  /// The first key of `table` that stands in the same file as `path`, or is an override as it is.
  [[nodiscard]] std::optional<std::string> stated_beside(std::string_view path,
                                                         std::string_view table) const {
    const ConfigEntry* beside = tree_.find(path);
    for (const ConfigEntry& entry : tree_.entries()) {
      if (beside != nullptr && !entry.is_table() && parent_path(entry.path) == table &&
          entry.place.file == beside->place.file) {
        return entry.path;
      }
    }
    return std::nullopt;
  }

  /// Whether a key comes from a preset file: `preset` is stated, and the key stands in the same
  /// file as `required`, which every preset of the table has.
  [[nodiscard]] bool stands_beside(std::string_view path,
                                   std::string_view required,
                                   std::string_view preset) const {
    const ConfigEntry* key = tree_.find(path);
    const ConfigEntry* beside = tree_.find(required);
    return given(preset) && key != nullptr && beside != nullptr && key->place.line > 0 &&
           key->place.file == beside->place.file;
  }

  std::vector<Diagnostic> found;

 private:
  /// No mistake at the path or at a table above it.
  [[nodiscard]] bool usable(std::string_view path) const {
    for (; !path.empty(); path = parent_path(path)) {
      if (reading_.unusable.find(path) != reading_.unusable.end()) {
        return false;
      }
    }
    return true;
  }

  const ConfigTree& tree_;
  const FieldReading& reading_;
};

/// A key that does nothing beside the value of another.
inline void no_effect(CrossChecker& c,
                      bool idle,
                      std::string_view path,
                      const std::string& because) {
  c.check(idle && c.given(path),
          path,
          {parent_path(path)},
          fmt::format("has no effect with {}", because));
}

/// GPUs of a scale-up domain that the keys describe.
[[nodiscard]] std::int64_t domain_size(const ClusterSpec& cluster);

/// The table [routing].
void check_routing(CrossChecker& checker, const Scenario& scenario);
/// The table [placement].
void check_placement(CrossChecker& checker, const Scenario& scenario);
/// The table [model].
void check_model(CrossChecker& checker, const ModelShape& model);

/// What kind of step it is, its layout and its memory.
void check_step(CrossChecker& checker, const Scenario& scenario);

/// The table [price].
void check_price(CrossChecker& checker, const Scenario& scenario);

/// The table [requests], and what serving asks of others.
void check_requests(CrossChecker& checker, const Scenario& scenario);

/// The tables [cluster] and [faults].
void check_cluster_keys(CrossChecker& checker, const Scenario& scenario);

}  // namespace moesim
