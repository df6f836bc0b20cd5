// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/study_file.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "sim/core/atomic_file.hpp"
#include "sim/core/text.hpp"
#include "sim/scenario/data_folder.hpp"
#include "sim/scenario/toml_reader.hpp"

namespace moesim {
namespace fs = std::filesystem;
namespace {

/// With the tables of another reader.
std::vector<std::string> study_keys(const std::vector<std::string>& others) {
  std::vector<std::string> keys = {
      "scenario", "name", "metrics", "seeds", "set", "grid", "zip", "points"};
  keys.insert(keys.end(), others.begin(), others.end());
  return keys;
}

struct ScalarOf {
  Scalar operator()(bool value) const { return value; }
  Scalar operator()(std::int64_t value) const { return value; }
  Scalar operator()(double value) const { return value; }
  Scalar operator()(const std::string& value) const { return value; }
  Scalar operator()(const std::vector<std::string>& items) const {
    std::string text;
    for (const std::string& item : items) {
      text += (text.empty() ? "" : ", ") + item;
    }
    return "[" + text + "]";
  }
  Scalar operator()(const TableHeader&) const { return std::monostate{}; }
  Scalar operator()(const OtherValue&) const { return std::monostate{}; }
};

class StudyReader {
 public:
  StudyReader(const fs::path& file, const ConfigTree& tree, const std::vector<std::string>& others)
      : tree_(tree), known_(study_keys(others)) {
    study_.file = file;
    study_.name = file.stem().string();
  }

  StudyFile read() {
    report_unknown();
    read_scenario();
    read_name();
    read_metrics();
    read_set();
    read_axes();
    read_points();
    read_seeds();
    if (mistakes_.empty() && num_points(study_.study) > kMostPoints) {
      report({}, fmt::format("more than {} points", kMostPoints), "take fewer values");
    }
    if (!mistakes_.empty()) {
      std::stable_sort(mistakes_.begin(), mistakes_.end(), [](const auto& a, const auto& b) {
        return std::pair(a.place.line, a.place.column) < std::pair(b.place.line, b.place.column);
      });
      throw UserError(std::move(mistakes_));
    }
    return std::move(study_);
  }

 private:
  void report(Diagnostic mistake, std::string message, std::string hint) {
    if (mistake.place.file.empty()) {
      mistake.place.file = study_.file.string();
    }
    mistake.message = std::move(message);
    mistake.hint = std::move(hint);
    mistakes_.push_back(std::move(mistake));
  }
  void report_value(const ConfigEntry& entry, std::string message, std::string hint) {
    report(mistake_at_value(entry, {}), std::move(message), std::move(hint));
  }
  /// A value of the wrong kind.
  void report_kind(const ConfigEntry& entry, std::string hint) {
    report_value(entry, kind_text(entry.value), std::move(hint));
  }

  void report_unknown() {
    for (const ConfigEntry& entry : tree_.entries()) {
      const bool at_root = entry.path.find_first_of(".[") == std::string::npos;
      if (at_root && std::find(known_.begin(), known_.end(), entry.path) == known_.end()) {
        const std::string near = nearest_word(entry.path, known_);
        const std::vector<std::string_view> words(known_.begin(), known_.end());
        mistakes_.push_back(
            mistake_at_key(entry,
                           near.empty() ? fmt::format("unknown key; known: {}", word_list(words))
                                        : fmt::format("unknown key; did you mean \"{}\"?", near)));
      }
    }
  }

  void read_scenario() {
    constexpr const char* kExpected = "expected the path of a scenario file";
    const ConfigEntry* entry = tree_.find("scenario");
    if (entry == nullptr) {
      Diagnostic missing;
      missing.key = "scenario";
      report(std::move(missing), "missing", kExpected);
      return;
    }
    const auto* text = std::get_if<std::string>(&entry->value);
    if (text == nullptr) {
      report_kind(*entry, kExpected);
      return;
    }
    study_.scenario = beside(study_.file, *text);
    std::error_code failed;
    if (!fs::is_regular_file(study_.scenario, failed)) {
      report_value(*entry, study_.scenario.string() + " is no file", kExpected);
    }
  }

  void read_name() {
    const ConfigEntry* entry = tree_.find("name");
    if (entry == nullptr) {
      return;
    }
    const auto* text = std::get_if<std::string>(&entry->value);
    if (text == nullptr || trimmed(*text).empty()) {
      report_kind(*entry, "expected a name");
    } else {
      study_.name = *text;
    }
  }

  void read_metrics() {
    const ConfigEntry* entry = tree_.find("metrics");
    if (entry == nullptr) {
      return;
    }
    const auto* items = std::get_if<std::vector<std::string>>(&entry->value);
    if (items == nullptr || items->empty()) {
      report_kind(*entry, "expected paths into a report, such as [\"summary.step_s.mean\"]");
    } else {
      study_.metrics = *items;
    }
  }

  /// The scenario key of an entry under `table`: dotted or quoted, "" if neither.
  static std::string key_under(const ConfigEntry& entry, std::string_view table) {
    std::string_view key = std::string_view(entry.path).substr(table.size() + 1);
    const bool quoted = key.size() >= 2 && key.starts_with('"') && key.ends_with('"');
    key = quoted ? key.substr(1, key.size() - 2) : key;
    return key.find('"') == std::string_view::npos ? std::string(key) : std::string();
  }

  /// Entries in `table` that hold a value: neither headers nor the items of lists.
  [[nodiscard]] std::vector<const ConfigEntry*> values_in(const std::string& table) const {
    std::vector<const ConfigEntry*> found;
    for (const ConfigEntry& entry : tree_.entries()) {
      const std::string_view rest = entry.path.starts_with(table + ".")
                                        ? std::string_view(entry.path).substr(table.size() + 1)
                                        : std::string_view();
      if (!rest.empty() && !entry.is_table() && rest.find('[') == std::string_view::npos) {
        found.push_back(&entry);
      }
    }
    return found;
  }

  /// The value as a setting of `key`, checked by itself.
  std::optional<SweepSetting> setting(const ConfigEntry& value, const std::string& key) {
    ConfigEntry entry = value;
    entry.path = key;
    if (key.empty() || std::holds_alternative<OtherValue>(value.value) || value.is_table()) {
      report_kind(value, "expected a value of a scenario key");
      return std::nullopt;
    }
    std::vector<Diagnostic> mistakes = setting_mistakes(entry);
    if (!mistakes.empty()) {
      for (Diagnostic& mistake : mistakes) {
        const bool shown = std::any_of(mistakes_.begin(), mistakes_.end(), [&](const auto& other) {
          return to_text(other) == to_text(mistake);
        });
        if (!shown) {
          mistakes_.push_back(std::move(mistake));
        }
      }
      return std::nullopt;
    }
    SweepSetting made{
        .key = key, .value = std::visit(ScalarOf{}, entry.value), .entry = study_.entries.size()};
    study_.entries.push_back(std::move(entry));
    return made;
  }

  /// The choices of one key: the items of its list.
  std::vector<SweepSetting> choices_of(const ConfigEntry& list, const std::string& key) {
    std::vector<SweepSetting> choices;
    const std::size_t before = mistakes_.size();
    for (std::size_t i = 0;; ++i) {
      const ConfigEntry* item = tree_.find(fmt::format("{}[{}]", list.path, i));
      if (item == nullptr) {
        break;
      }
      if (std::optional<SweepSetting> one = setting(*item, key)) {
        choices.push_back(*std::move(one));
      }
    }
    if (choices.empty() && mistakes_.size() == before) {
      const auto* items = std::get_if<std::vector<std::string>>(&list.value);
      report_value(list,
                   items != nullptr && items->empty() ? "an empty list" : kind_text(list.value),
                   "expected a list of values, such as [1, 2, 4]");
    }
    return choices;
  }

  void read_set() {
    for (const ConfigEntry* entry : values_in("set")) {
      if (std::optional<SweepSetting> one = setting(*entry, key_under(*entry, "set"))) {
        study_.study.base.push_back(*std::move(one));
      }
    }
  }

  /// A key may be varied in one place only.
  bool is_varied_twice(const ConfigEntry& entry, const std::string& key) {
    const auto [first, is_new] = varied_.emplace(key, &entry);
    if (!is_new) {
      report(mistake_at_key(entry, {}),
             fmt::format("\"{}\" is varied in line {} already", key, first->second->place.line),
             "");
    }
    return !is_new;
  }

  void read_axes() {
    for (const ConfigEntry* entry : values_in("grid")) {
      const std::string key = key_under(*entry, "grid");
      if (is_varied_twice(*entry, key)) {
        continue;
      }
      SweepAxis axis;
      for (SweepSetting& one : choices_of(*entry, key)) {
        axis.choices.push_back({std::move(one)});
      }
      add(std::move(axis));
    }
    for_each_table("zip", [&](const std::string& table) { read_zip(table); });
  }

  void add(SweepAxis axis) {
    if (!axis.choices.empty()) {
      study_.study.axes.push_back(std::move(axis));
    }
  }

  /// Calls for "zip[0]", "zip[1]", ... of a list of tables.
  template <typename Call>
  void for_each_table(const std::string& name, Call call) {
    const ConfigEntry* list = tree_.find(name);
    if (list == nullptr) {
      return;
    }
    for (std::size_t i = 0;; ++i) {
      const std::string table = fmt::format("{}[{}]", name, i);
      const ConfigEntry* entry = tree_.find(table);
      if (entry == nullptr || !entry->is_table()) {
        if (i == 0) {
          report_kind(*list, fmt::format("expected tables [[{}]]", name));
        }
        return;
      }
      call(table);
    }
  }

  void read_zip(const std::string& table) {
    SweepAxis axis;
    const ConfigEntry* first = nullptr;
    for (const ConfigEntry* entry : values_in(table)) {
      const std::string key = key_under(*entry, table);
      if (is_varied_twice(*entry, key)) {
        continue;
      }
      const std::vector<SweepSetting> choices = choices_of(*entry, key);
      if (first == nullptr) {
        first = entry;
        axis.choices.resize(choices.size());
      } else if (choices.size() != axis.choices.size()) {
        report_value(*entry,
                     fmt::format("{} values, but {} in line {}",
                                 choices.size(),
                                 axis.choices.size(),
                                 first->place.line),
                     "expected lists of the same length");
        continue;
      }
      for (std::size_t i = 0; i < choices.size(); ++i) {
        axis.choices[i].push_back(choices[i]);
      }
    }
    if (values_in(table).empty()) {
      report_empty(table, "expected keys with lists of values");
    }
    add(std::move(axis));
  }

  void report_empty(const std::string& table, std::string hint) {
    report(mistake_at_key(*tree_.find(table), {}), "an empty table", std::move(hint));
  }

  void read_points() {
    for_each_table("points", [&](const std::string& table) {
      SweepChoice point;
      for (const ConfigEntry* entry : values_in(table)) {
        if (std::optional<SweepSetting> one = setting(*entry, key_under(*entry, table))) {
          point.push_back(*std::move(one));
        }
      }
      if (values_in(table).empty()) {
        report_empty(table, "expected keys with values");
      }
      study_.study.points.push_back(std::move(point));
    });
  }

  void read_seeds() {
    if (const ConfigEntry* entry = tree_.find("seeds");
        entry != nullptr && !is_varied_twice(*entry, "seed")) {
      study_.study.seeds = choices_of(*entry, "seed");
    }
  }

  const ConfigTree& tree_;
  std::vector<std::string> known_;  ///< at the root
  StudyFile study_;
  std::map<std::string, const ConfigEntry*> varied_;
  std::vector<Diagnostic> mistakes_;
};

}  // namespace

StudyFile read_study(const fs::path& file) {
  const ConfigTree tree = parse_toml_items(read_file(file), file.string());
  return read_study(file, tree, {});
}

StudyFile read_study(const fs::path& file,
                     const ConfigTree& tree,
                     const std::vector<std::string>& others) {
  return StudyReader(file, tree, others).read();
}

Scenario load_point(const StudyFile& study, const SweepChoice& point, ParsedFiles& files) {
  std::vector<ConfigEntry> settings;
  for (const SweepSetting& setting : point) {
    settings.push_back(study.entries[setting.entry]);
  }
  return load_scenario(study.scenario, settings, files);
}

}  // namespace moesim
