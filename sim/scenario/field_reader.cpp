// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/field_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"
#include "sim/scenario/fields.hpp"

namespace moesim {
namespace {

std::string range_text(CountRange range) {
  return range.max == CountRange{}.max
             ? fmt::format("an integer, {} or more", range.min)
             : fmt::format("an integer from {} to {}", range.min, range.max);
}

std::string_view range_text(NumberRange range) {
  switch (range) {
    case NumberRange::kFraction:
      return "a number above 0 and up to 1";
    case NumberRange::kPositive:
      return "a number above 0";
    case NumberRange::kNotNegative:
      return "a number, 0 or more";
    case NumberRange::kShare:
      return "a number from 0 to 1";
    case NumberRange::kAny:
      return "a finite number";
  }
  return "";
}

bool is_in(NumberRange range, double value) {
  const bool zero_is_in = range == NumberRange::kNotNegative || range == NumberRange::kShare;
  const bool low = range == NumberRange::kAny || (zero_is_in ? value >= 0.0 : value > 0.0);
  const bool is_part = range == NumberRange::kFraction || range == NumberRange::kShare;
  return std::isfinite(value) && low && (!is_part || value <= 1.0);
}

std::optional<double> as_number(const ConfigValue& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return static_cast<double>(*integer);
  }
  const auto* number = std::get_if<double>(&value);
  return number == nullptr ? std::nullopt : std::optional(*number);
}

class FieldReader : public FieldVisitor {
 public:
  FieldReader(const ConfigTree& tree, const std::string& file, FieldReading& reading)
      : tree_(tree), file_(file), reading_(reading) {}

  void begin_table(Key key) override {
    const std::string path = prefix_ + std::string(key.name);
    prefix_ = path + ".";
    if (absent_depth_ > 0) {
      ++absent_depth_;
      return;
    }
    const ConfigEntry* entry = tree_.find(path);
    if (entry != nullptr && entry->is_table()) {
      return;
    }
    absent_depth_ = 1;
    if (entry != nullptr) {
      report(mistake_at_value(*entry, kind_text(entry->value)), "expected a table");
    } else if (key.need == Need::kRequired) {
      report_missing(path, fmt::format("expected a table [{}]", path));
    }
  }

  void end_table() override {
    absent_depth_ -= absent_depth_ > 0 ? 1 : 0;
    prefix_.pop_back();
    prefix_.erase(prefix_.rfind('.') + 1);
  }

  void text(Key key, std::string& value) override {
    constexpr std::string_view kExpected = "expected a string";
    const ConfigEntry* entry = find(key, kExpected);
    if (entry == nullptr) {
      return;
    }
    const auto* found = std::get_if<std::string>(&entry->value);
    if (found == nullptr) {
      wrong_kind(*entry, kExpected);
    } else if (trimmed(*found).empty() && key.need == Need::kRequired) {
      report(mistake_at_value(*entry, "\"\" is empty"), kExpected);
    } else {
      value = *found;
    }
  }

  void count(Key key, std::int64_t& value, CountRange range) override {
    const std::string expected = "expected " + range_text(range);
    const ConfigEntry* entry = find(key, expected);
    if (entry == nullptr) {
      return;
    }
    const auto* found = std::get_if<std::int64_t>(&entry->value);
    if (found == nullptr) {
      wrong_kind(*entry, expected);
    } else if (*found < range.min || *found > range.max) {
      out_of_range(*entry, expected);
    } else {
      value = *found;
    }
  }

  void number(Key key, double& value, NumberRange range) override {
    const std::string expected = fmt::format("expected {}", range_text(range));
    const ConfigEntry* entry = find(key, expected);
    if (entry == nullptr) {
      return;
    }
    const std::optional<double> found = as_number(entry->value);
    if (!found) {
      wrong_kind(*entry, expected);
    } else if (!is_in(range, *found)) {
      out_of_range(*entry, expected);
    } else {
      value = *found;
    }
  }

  void flag(Key key, bool& value) override {
    constexpr std::string_view kExpected = "expected true or false";
    const ConfigEntry* entry = find(key, kExpected);
    if (entry == nullptr) {
      return;
    }
    if (const auto* found = std::get_if<bool>(&entry->value)) {
      value = *found;
    } else {
      wrong_kind(*entry, kExpected);
    }
  }

  void word(Key key, int& index, std::span<const std::string_view> words) override {
    const std::string expected = "expected " + word_list(words);
    const ConfigEntry* entry = find(key, expected);
    if (entry == nullptr) {
      return;
    }
    const auto* found = std::get_if<std::string>(&entry->value);
    if (found == nullptr) {
      wrong_kind(*entry, expected);
      return;
    }
    const auto match = std::find(words.begin(), words.end(), *found);
    if (match == words.end()) {
      report(mistake_at_value(*entry, quoted_text(*found) + " is no such word"), expected);
    } else {
      index = static_cast<int>(match - words.begin());
    }
  }

  void list(Key key, std::vector<std::string>& items) override {
    constexpr std::string_view kExpected = "expected a list of strings";
    const ConfigEntry* entry = find(key, kExpected);
    if (entry == nullptr) {
      return;
    }
    if (const auto* found = std::get_if<std::vector<std::string>>(&entry->value)) {
      items = *found;
    } else {
      wrong_kind(*entry, kExpected);
    }
  }

  void quantity(Key key, double& value, const UnitKind& unit) override {
    const std::string expected = fmt::format("expected {}", unit.forms());
    const ConfigEntry* entry = find(key, expected);
    if (entry == nullptr) {
      return;
    }
    const auto* found = std::get_if<std::string>(&entry->value);
    if (found == nullptr) {
      const bool bare = as_number(entry->value).has_value();
      report(mistake_at_value(*entry,
                              bare ? found_text(entry->value) + " is a number without a unit"
                                   : kind_text(entry->value)),
             expected);
      return;
    }
    const std::optional<double> parsed = unit.parse(*found);
    if (!parsed) {
      report(mistake_at_value(*entry, quoted_text(*found) + " " + explain_unit_mistake(*found)),
             expected);
    } else if (*parsed == 0.0 && !unit.zero_is_valid) {
      report(mistake_at_value(*entry, quoted_text(*found) + " is zero"), expected);
    } else {
      value = *parsed;
    }
  }

 private:
  /// The key's entry; reports a required key that is missing.
  const ConfigEntry* find(Key key, std::string_view expected) {
    if (absent_depth_ > 0) {
      return nullptr;
    }
    const std::string path = prefix_ + std::string(key.name);
    const ConfigEntry* entry = tree_.find(path);
    if (entry == nullptr && key.need == Need::kRequired) {
      report_missing(path, std::string(expected));
    }
    return entry;
  }

  /// Shown at the header of the table that lacks it, else for the whole file.
  void report_missing(const std::string& path, std::string expected) {
    const ConfigEntry* table = tree_.find(parent_path(path));
    Diagnostic missing;
    missing.key = path;
    missing.message = "missing";
    if (table != nullptr) {
      missing.place = table->place;
      missing.source_line = table->source_line;
    } else {
      missing.place.file = file_;
    }
    report(std::move(missing), expected);
  }

  void wrong_kind(const ConfigEntry& entry, std::string_view expected) {
    report(mistake_at_value(entry, kind_text(entry.value)), expected);
  }
  void out_of_range(const ConfigEntry& entry, std::string_view expected) {
    report(mistake_at_value(entry, found_text(entry.value) + " is out of range"), expected);
  }
  void report(Diagnostic diagnostic, std::string_view expected) {
    diagnostic.hint = expected;
    reading_.unusable.insert(diagnostic.key);
    reading_.diagnostics.push_back(std::move(diagnostic));
  }

  const ConfigTree& tree_;
  const std::string& file_;
  FieldReading& reading_;
  std::string prefix_;
  int absent_depth_ = 0;  ///< > 0 inside a table that is not there
};

/// "did you mean" for a key: a sibling that is spelt alike, else the same name in another table.
std::string suggestion(std::string_view path, const std::vector<std::string>& known) {
  std::vector<std::string> siblings;
  for (const std::string& candidate : known) {
    if (parent_path(candidate) == parent_path(path)) {
      siblings.emplace_back(leaf_name(candidate));
    }
  }
  std::string near = nearest_word(leaf_name(path), siblings);
  if (near.empty()) {
    const auto same_leaf = [&](const std::string& candidate) {
      return leaf_name(candidate) == leaf_name(path);
    };
    const auto elsewhere = std::find_if(known.begin(), known.end(), same_leaf);
    near = elsewhere == known.end() ? "" : *elsewhere;
  }
  return near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near);
}

bool contains(const std::vector<std::string>& paths, std::string_view path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

void report_unknown(const ConfigTree& tree,
                    const KnownPaths& known,
                    std::vector<Diagnostic>& diagnostics) {
  for (const ConfigEntry& entry : tree.entries()) {
    const std::string_view parent = parent_path(entry.path);
    const bool parent_known = parent.empty() || contains(known.tables, parent);
    const bool is_known = contains(known.tables, entry.path) || contains(known.keys, entry.path);
    if (is_known || !parent_known) {
      continue;  // an unknown table is reported once, not for each of its keys
    }
    const std::vector<std::string>& candidates = entry.is_table() ? known.tables : known.keys;
    diagnostics.push_back(mistake_at_key(
        entry,
        (entry.is_table() ? "unknown table" : "unknown key") + suggestion(entry.path, candidates)));
  }
}

}  // namespace

FieldReading read_fields(const ConfigTree& tree, const std::string& file) {
  FieldReading reading;
  FieldReader reader(tree, file, reading);
  visit_fields(reader, reading.scenario);
  report_unknown(tree, known_paths(), reading.diagnostics);
  return reading;
}

std::vector<Diagnostic> read_tables(const ConfigTree& tree,
                                    const std::string& file,
                                    const std::function<void(FieldVisitor&)>& visit) {
  const KnownPaths known = paths_of(visit);
  ConfigTree inside;
  for (const ConfigEntry& entry : tree.entries()) {
    const bool is_item = entry.path.find('[') != std::string::npos;
    const std::string top = entry.path.substr(0, entry.path.find('.'));
    if (!is_item && contains(known.tables, top)) {
      inside.put(entry);
    }
  }
  FieldReading reading;
  FieldReader reader(inside, file, reading);
  visit(reader);
  report_unknown(inside, known, reading.diagnostics);
  return std::move(reading.diagnostics);
}

}  // namespace moesim
