// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/config_tree.hpp"

#include <fmt/core.h>

#include <utility>

#include "sim/core/text.hpp"

namespace moesim {
namespace {

struct FoundText {
  std::string operator()(TableHeader) const { return "a table"; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return quoted_text(value); }
  std::string operator()(const std::vector<std::string>&) const { return "a list"; }
  std::string operator()(const OtherValue& value) const { return value.what; }
};

struct KindName {
  std::string_view operator()(TableHeader) const { return ""; }
  std::string_view operator()(bool) const { return "a boolean"; }
  std::string_view operator()(std::int64_t) const { return "an integer"; }
  std::string_view operator()(double) const { return "a float"; }
  std::string_view operator()(const std::string&) const { return "a string"; }
  std::string_view operator()(const std::vector<std::string>&) const { return ""; }
  std::string_view operator()(const OtherValue&) const { return ""; }
};

Diagnostic mistake(const ConfigEntry& entry, int column, std::string message) {
  SourcePlace place = entry.place;
  place.column = column;
  return {.place = std::move(place),
          .key = entry.path,
          .message = std::move(message),
          .source_line = entry.source_line,
          .hint = {}};
}

}  // namespace

std::string found_text(const ConfigValue& value) {
  return std::visit(FoundText{}, value);
}

std::string kind_text(const ConfigValue& value) {
  const std::string_view kind = std::visit(KindName{}, value);
  const std::string found = found_text(value);
  return kind.empty() ? found + " was found" : fmt::format("{} is {}", found, kind);
}

Diagnostic mistake_at_key(const ConfigEntry& entry, std::string message) {
  return mistake(entry, entry.place.column, std::move(message));
}

Diagnostic mistake_at_value(const ConfigEntry& entry, std::string message) {
  const int column = entry.value_column > 0 ? entry.value_column : entry.place.column;
  return mistake(entry, column, std::move(message));
}

std::string_view parent_path(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
}

std::string_view leaf_name(std::string_view path) {
  return path.substr(path.rfind('.') + 1);
}

void ConfigTree::put(ConfigEntry entry) {
  const auto [place, is_new] = index_.try_emplace(entry.path, entries_.size());
  if (is_new) {
    entries_.push_back(std::move(entry));
  } else {
    entries_[place->second] = std::move(entry);
  }
}

void ConfigTree::put_with_tables(ConfigEntry entry) {
  const std::string path = entry.path;
  for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    const std::string table = path.substr(0, dot);
    if (find(table) == nullptr) {
      put({.path = table,
           .value = TableHeader{},
           .place = entry.place,
           .source_line = entry.source_line});
    }
  }
  put(std::move(entry));
}

void ConfigTree::add_missing(const ConfigTree& other) {
  for (const ConfigEntry& entry : other.entries()) {
    if (find(entry.path) == nullptr) {
      put(entry);
    }
  }
}

const ConfigEntry* ConfigTree::find(std::string_view path) const {
  const auto found = index_.find(path);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

}  // namespace moesim
