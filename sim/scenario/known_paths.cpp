// SPDX-License-Identifier: Apache-2.0
// The paths that fields.cpp declares, as a list.
#include <utility>

#include "sim/scenario/fields.hpp"

namespace moesim {
namespace {

class PathLister : public FieldVisitor {
 public:
  void begin_table(Key key) override {
    known.tables.push_back(prefix_ + std::string(key.name));
    prefix_ = known.tables.back() + ".";
    for (const PresetTable& table : preset_tables()) {
      if (known.tables.back() == table.table) {
        known.keys.push_back(prefix_ + "preset");
      }
    }
  }
  void end_table() override {
    prefix_.pop_back();
    prefix_.erase(prefix_.rfind('.') + 1);  // npos + 1 is 0: back to the root
  }
  void text(Key key, std::string&) override { add(key); }
  void count(Key key, std::int64_t&, CountRange) override { add(key); }
  void number(Key key, double&, NumberRange) override { add(key); }
  void flag(Key key, bool&) override {
    add(key);
    known.words[known.keys.back()] = {"true", "false"};
  }
  void word(Key key, int&, std::span<const std::string_view> words) override {
    add(key);
    known.words[known.keys.back()].assign(words.begin(), words.end());
  }
  void list(Key key, std::vector<std::string>&) override { add(key); }
  void quantity(Key key, double&, const UnitKind&) override { add(key); }

  KnownPaths known;

 private:
  void add(Key key) { known.keys.push_back(prefix_ + std::string(key.name)); }
  std::string prefix_;
};

}  // namespace

KnownPaths paths_of(const std::function<void(FieldVisitor&)>& visit) {
  PathLister lister;
  visit(lister);
  return std::move(lister.known);
}

KnownPaths known_paths() {
  Scenario scenario;
  return paths_of([&](FieldVisitor& visitor) { visit_fields(visitor, scenario); });
}

}  // namespace moesim
