// SPDX-License-Identifier: Apache-2.0
// A configuration file as values with places: what the TOML reader makes and all else here reads.
// Flat: one entry per table and per key, named by its full dotted path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/core/diagnostics.hpp"

namespace moesim {

struct TableHeader {};

/// TOML that no key of ours accepts, in words: "a date".
struct OtherValue {
  std::string what;
};

using ConfigValue = std::variant<TableHeader,
                                 bool,
                                 std::int64_t,
                                 double,
                                 std::string,
                                 std::vector<std::string>,
                                 OtherValue>;

/// The value in a message: 48, "61", a table, ...
[[nodiscard]] std::string found_text(const ConfigValue& value);
/// What was found, as half a sentence: `"61" is a string`, `a table was found`.
[[nodiscard]] std::string kind_text(const ConfigValue& value);

struct ConfigEntry {
  std::string path;  ///< "cluster.gpu.memory"; keys that are not bare stay quoted
  ConfigValue value;
  SourcePlace place;        ///< of the key, or of the table's header
  int value_column = 0;     ///< of the value on the same line, 0 = unknown
  std::string source_line;  ///< "" for overrides

  [[nodiscard]] bool is_table() const { return std::holds_alternative<TableHeader>(value); }
};

/// A mistake at the entry's key, or at its value.
[[nodiscard]] Diagnostic mistake_at_key(const ConfigEntry& entry, std::string message);
[[nodiscard]] Diagnostic mistake_at_value(const ConfigEntry& entry, std::string message);

/// "cluster.gpu" of "cluster.gpu.memory", "" of "seed".
[[nodiscard]] std::string_view parent_path(std::string_view path);
/// "memory" of "cluster.gpu.memory".
[[nodiscard]] std::string_view leaf_name(std::string_view path);

/// Entries by path, in order of arrival. Paths are unique.
class ConfigTree {
 public:
  /// Adds the entry, or replaces the value and place of the one with its path.
  void put(ConfigEntry entry);
  /// The same, after a header at the entry's place for every table above it that is not there yet.
  void put_with_tables(ConfigEntry entry);
  /// Adds every entry of `other` whose path is new.
  void add_missing(const ConfigTree& other);
  [[nodiscard]] const ConfigEntry* find(std::string_view path) const;
  [[nodiscard]] const std::vector<ConfigEntry>& entries() const { return entries_; }

 private:
  std::vector<ConfigEntry> entries_;
  std::map<std::string, std::size_t, std::less<>> index_;
};

}  // namespace moesim
