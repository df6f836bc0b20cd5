// SPDX-License-Identifier: Apache-2.0
// Every key of a scenario, declared once. The reader, the writer of the resolved scenario, the list
// of known keys and the test of the manual all walk this list. A new key is one line in fields.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/scenario/scenario.hpp"

namespace moesim {

enum class Need {
  kRequired,  ///< a table that lacks it is a mistake
  kOptional,  ///< the struct's member initialiser is its default
};

struct Key {
  std::string_view name;  ///< inside its table
  Need need = Need::kRequired;
};

/// Closed range of integers.
struct CountRange {
  std::int64_t min = 0;
  std::int64_t max = 1'000'000'000;
};

enum class NumberRange {
  kFraction,     ///< (0, 1]
  kPositive,     ///< > 0
  kNotNegative,  ///< >= 0
  kShare,        ///< [0, 1]
  kAny,          ///< finite
};

/// How one kind of physical value is read and written; `value` in SI base units.
struct UnitKind {
  std::optional<double> (*parse)(std::string_view text);
  std::string_view (*forms)();
  std::string (*write)(double value);
  bool zero_is_valid = false;
};

/// Walks the fields in the order in which the resolved scenario shows them.
class FieldVisitor {
 public:
  FieldVisitor() = default;
  FieldVisitor(const FieldVisitor&) = delete;
  FieldVisitor& operator=(const FieldVisitor&) = delete;
  virtual ~FieldVisitor() = default;

  virtual void begin_table(Key key) = 0;
  virtual void end_table() = 0;
  virtual void text(Key key, std::string& value) = 0;
  virtual void count(Key key, std::int64_t& value, CountRange range) = 0;
  virtual void number(Key key, double& value, NumberRange range) = 0;
  virtual void flag(Key key, bool& value) = 0;
  /// One of `words`; `index` is its position.
  virtual void word(Key key, int& index, std::span<const std::string_view> words) = 0;
  virtual void list(Key key, std::vector<std::string>& items) = 0;
  virtual void quantity(Key key, double& value, const UnitKind& unit) = 0;
};

void visit_fields(FieldVisitor& visitor, Scenario& scenario);

/// The words of some keys, in the order of their enumerators.
[[nodiscard]] std::span<const std::string_view> step_kind_words();
[[nodiscard]] std::span<const std::string_view> overlap_words();
[[nodiscard]] std::span<const std::string_view> serving_policy_words();
[[nodiscard]] std::span<const std::string_view> arrival_source_words();
[[nodiscard]] std::span<const std::string_view> fabric_kind_words();
[[nodiscard]] std::span<const std::string_view> scale_up_kind_words();
[[nodiscard]] std::span<const std::string_view> engine_words();
[[nodiscard]] std::span<const std::string_view> routing_origin_words();
[[nodiscard]] std::span<const std::string_view> placement_kind_words();
[[nodiscard]] std::span<const std::string_view> replica_choice_words();

/// Tables that may name a preset, with the folder that holds their presets.
struct PresetTable {
  std::string_view table;
  std::string_view folder;
};
[[nodiscard]] std::span<const PresetTable> preset_tables();

/// Full paths of every table and key a scenario file may hold, presets included.
struct KnownPaths {
  std::vector<std::string> tables;
  std::vector<std::string> keys;
  std::map<std::string, std::vector<std::string>> words;  ///< of the keys that take one of some
};
[[nodiscard]] KnownPaths known_paths();
/// The same of any declared fields.
[[nodiscard]] KnownPaths paths_of(const std::function<void(FieldVisitor&)>& visit);

}  // namespace moesim
