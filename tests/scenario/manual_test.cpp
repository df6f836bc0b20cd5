// SPDX-License-Identifier: Apache-2.0
// docs/scenario.md against the declared keys: one row a key, with its values and its default, and
// no key that does not exist.
#include <fmt/core.h>
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <ostream>
#include <regex>
#include <string>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/core/text.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/scenario/scenario.hpp"

namespace moesim {
namespace {
namespace fs = std::filesystem;

/// The cells of a key's row that its declaration fixes.
struct Row {
  std::string values;
  std::string fallback;
  bool operator==(const Row&) const = default;
  friend std::ostream& operator<<(std::ostream& out, const Row& row) {
    return out << row.values << " | " << row.fallback;
  }
};

class RowLister : public FieldVisitor {
 public:
  void begin_table(Key key) override { prefix_ += std::string(key.name) + "."; }
  void end_table() override {
    prefix_.pop_back();
    prefix_.erase(prefix_.rfind('.') + 1);
  }
  void text(Key key, std::string& value) override {
    add(key, "string", fmt::format("\"{}\"", value));
  }
  void count(Key key, std::int64_t& value, CountRange range) override {
    const bool open = range.max == CountRange{}.max || range.max == INT64_MAX;
    add(key,
        open ? fmt::format("integer, {} or more", range.min)
             : fmt::format("integer, {} to {}", range.min, range.max),
        fmt::format("{}", value));
  }
  void number(Key key, double& value, NumberRange range) override {
    const std::string_view words = range == NumberRange::kFraction   ? "number, above 0 to 1"
                                   : range == NumberRange::kPositive ? "number, above 0"
                                   : range == NumberRange::kShare    ? "number, 0 to 1"
                                   : range == NumberRange::kAny      ? "number"
                                                                     : "number, 0 or more";
    add(key, std::string(words), fmt::format("{}", value));
  }
  void flag(Key key, bool& value) override { add(key, "true or false", value ? "true" : "false"); }
  void word(Key key, int& index, std::span<const std::string_view> words) override {
    add(key, word_list(words), fmt::format("\"{}\"", words[static_cast<std::size_t>(index)]));
  }
  void list(Key key, std::vector<std::string>&) override { add(key, "list of strings", "[]"); }
  void quantity(Key key, double& value, const UnitKind& unit) override {
    std::string kind(unit.forms());  // "a size: ..."
    kind = kind.substr(2, kind.find(':') - 2);
    add(key, kind + (unit.zero_is_valid ? ", 0 or more" : ", above 0"), unit.write(value));
  }

  std::map<std::string, Row> rows;

 private:
  void add(Key key, std::string values, std::string fallback) {
    const bool required = key.need == Need::kRequired;
    rows[prefix_ + std::string(key.name)] = {
        .values = std::move(values),
        .fallback = required ? "required" : "`" + std::move(fallback) + "`"};
  }
  std::string prefix_;
};

std::map<std::string, Row> declared_rows() {
  RowLister lister;
  Scenario scenario;
  visit_fields(lister, scenario);
  for (const PresetTable& table : preset_tables()) {
    const std::string fallback = table.table == "calibration" ? "by GPU" : "none";
    lister.rows[std::string(table.table) + ".preset"] = {"string", fallback};
  }
  return std::move(lister.rows);
}

std::string manual() {
  std::ifstream stream(fs::path(MOESIM_SOURCE_DIR) / "docs/scenario.md", std::ios::binary);
  EXPECT_TRUE(stream.is_open());
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Every first group of the pattern's matches.
std::vector<std::string> matches(const std::string& text, const std::regex& pattern) {
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern); at != std::sregex_iterator();
       ++at) {
    found.push_back((*at)[1].str());
  }
  return found;
}

TEST(ScenarioManual, HasOneRowForEachKeyWithItsValuesAndDefault) {
  const std::string text = manual();
  const std::regex row(R"(\n\| `([a-z0-9_.]+)` \| ([^|]*) \| ([^|]*) \| [^|\n]+ \|(?=\n))");
  std::map<std::string, Row> rows;
  for (std::sregex_iterator at(text.begin(), text.end(), row); at != std::sregex_iterator(); ++at) {
    const bool is_new = rows.try_emplace((*at)[1], Row{(*at)[2], (*at)[3]}).second;
    EXPECT_TRUE(is_new) << (*at)[1];
  }
  EXPECT_THAT(rows, testing::ContainerEq(declared_rows()));
}

TEST(ScenarioManual, NamesNoKeyThatDoesNotExist) {
  const KnownPaths known = known_paths();
  std::vector<std::string> names =
      matches(manual(), std::regex(R"(`([a-z_][a-z0-9_]*(\.[a-z0-9_]+)+)( = [^`]*)?`)"));
  std::erase_if(names, [](const std::string& name) { return name.ends_with(".toml"); });
  EXPECT_GT(names.size(), known.keys.size());
  for (const std::string& name : names) {
    const auto in = [&](const std::vector<std::string>& paths) {
      return std::find(paths.begin(), paths.end(), name) != paths.end();
    };
    EXPECT_TRUE(in(known.keys) || in(known.tables)) << name;
  }
}

TEST(ScenarioManual, NamesEveryTable) {
  const std::vector<std::string> headings =
      matches(manual(), std::regex(R"(\n## `\[([a-z_]+)\]`)"));
  std::vector<std::string> tables = known_paths().tables;
  std::erase_if(tables, [](const std::string& table) { return table.find('.') != table.npos; });
  EXPECT_THAT(headings, testing::UnorderedElementsAreArray(tables));
}

/// The text of the n-th fenced block of a kind.
std::string fenced(const std::string& text, const std::string& kind) {
  const std::string fence = "\n```" + kind + "\n";
  const std::size_t begin = text.find(fence);
  EXPECT_NE(begin, std::string::npos) << kind;
  const std::size_t from = begin + fence.size();
  return text.substr(from, text.find("\n```\n", from) + 1 - from);
}

class ManualExample : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "moesim-manual-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    before_ = fs::current_path();
    fs::current_path(folder_);
    const fs::path data = fs::path(MOESIM_SOURCE_DIR) / "scenarios";
    ::setenv("MOESIM_DATA", data.c_str(), 1);
    std::ofstream("example.toml") << fenced(manual(), "toml");
  }
  void TearDown() override {
    ::unsetenv("MOESIM_DATA");
    fs::current_path(before_);
    fs::remove_all(folder_);
  }

 private:
  fs::path folder_;
  fs::path before_;
};

TEST_F(ManualExample, LoadsAsTheTextSays) {
  const Scenario s = load_scenario("example.toml", {});
  EXPECT_EQ(s.model.name, "tinymoe-at-v2-lite-width");
  EXPECT_EQ(s.cluster.nodes, 4);
  EXPECT_EQ(s.calibration.evidence, Evidence::kAssumed);
}

// The shipped whole model loads and fits, and so does the dense one that its head names.
TEST_F(ManualExample, TheShippedDecodeStepFits) {
  const fs::path file = fs::path(MOESIM_SOURCE_DIR) / "scenarios/v3_decode_h200.toml";
  const Scenario v3 = load_scenario(file, {});
  EXPECT_EQ(v3.step.kind, StepKind::kDecode);
  EXPECT_NO_THROW(check_memory(v3));
  const Scenario dense = load_scenario(file, {"model.preset=llama-3-70b", "parallel.tp=8"});
  EXPECT_EQ(dense.model.moe_layers, 0);
  EXPECT_NO_THROW(check_memory(dense));
  EXPECT_THROW(check_memory(load_scenario(file, {"parallel.ep=4", "batch.tokens_per_rank=1"})),
               UserError);
}

TEST_F(ManualExample, TheErrorShownIsTheOneGiven) {
  std::string text = fenced(manual(), "toml");
  text = std::regex_replace(text, std::regex("ep = 32"), "ep = 24");
  text = std::regex_replace(text, std::regex("400 Gbit/s"), "400 Gb/s");
  std::ofstream("example.toml") << text;
  std::string shown;
  try {
    (void)load_scenario("example.toml", {});
  } catch (const UserError& error) {
    shown = error.what();
  }
  const std::string data = (fs::path(MOESIM_SOURCE_DIR) / "scenarios").string();
  for (std::size_t at = shown.find(data); at != std::string::npos; at = shown.find(data)) {
    shown.replace(at, data.size(), "scenarios");
  }
  EXPECT_EQ(shown + "\n", fenced(manual(), "text"));
}

}  // namespace
}  // namespace moesim
