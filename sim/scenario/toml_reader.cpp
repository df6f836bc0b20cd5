// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/toml_reader.hpp"

#include <fmt/core.h>
#include <toml++/toml.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "sim/core/text.hpp"

namespace moesim {
namespace {

// Scenarios are small. The bounds keep hostile text from exhausting memory, or the stack: the
// library recurses once per dot of a dotted key.
constexpr std::size_t kLargestFile = 1 << 20;
constexpr std::ptrdiff_t kMostDots = 4096;

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool is_bare_key(std::string_view key) {
  constexpr std::string_view kBare =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return !key.empty() && key.find_first_not_of(kBare) == std::string_view::npos;
}

ConfigValue list_value(const toml::array& array) {
  if (array.is_array_of_tables()) {
    return OtherValue{"a list of tables"};
  }
  std::vector<std::string> items;
  for (const toml::node& item : array) {
    if (!item.is_string()) {
      return OtherValue{"a list of something else than strings"};
    }
    items.push_back(item.ref<std::string>());
  }
  return items;
}

ConfigValue scalar_value(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    return text->get();
  }
  if (const auto* integer = node.as_integer()) {
    return integer->get();
  }
  if (const auto* number = node.as_floating_point()) {
    return number->get();
  }
  if (const auto* flag = node.as_boolean()) {
    return flag->get();
  }
  if (const auto* array = node.as_array()) {
    return list_value(*array);
  }
  return OtherValue{"a date or time"};
}

/// Collects the entries of one document.
struct Flattener {
  const std::string& file;
  const std::vector<std::string>& lines;
  bool with_items = false;
  std::vector<ConfigEntry> entries;

  void add(const std::string& path, const toml::source_position& key, const toml::node& node) {
    const bool is_header = node.is_table() && !node.as_table()->is_inline();
    const toml::source_position at = is_header && node.source().begin ? node.source().begin : key;
    const std::size_t line = at.line;
    entries.push_back({.path = path,
                       .value = node.is_table() ? ConfigValue(TableHeader{}) : scalar_value(node),
                       .place = {file, static_cast<int>(at.line), static_cast<int>(at.column)},
                       .value_column = is_header ? 0 : static_cast<int>(node.source().begin.column),
                       .source_line = line >= 1 && line <= lines.size() ? lines[line - 1] : ""});
  }

  void add_items(const toml::array& list, const std::string& path) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string item = fmt::format("{}[{}]", path, i);
      add(item, list[i].source().begin, list[i]);
      if (const toml::table* inner = list[i].as_table()) {
        flatten(*inner, item + ".");
      }
    }
  }

  void flatten(const toml::table& table, const std::string& prefix) {
    for (auto&& [key, node] : table) {
      const std::string_view name = key.str();
      const std::string path = prefix + (is_bare_key(name) ? std::string(name) : quoted_text(name));
      add(path, key.source().begin, node);
      if (const toml::table* inner = node.as_table()) {
        flatten(*inner, path + ".");
      } else if (const toml::array* list = with_items ? node.as_array() : nullptr) {
        add_items(*list, path);
      }
    }
  }
};

/// The library's words in our form: lower case, without its "Error while parsing".
std::string syntax_message(std::string_view description) {
  constexpr std::string_view kPrefix = "Error while parsing ";
  if (description.starts_with(kPrefix)) {
    return "not TOML, in a " + std::string(description.substr(kPrefix.size()));
  }
  return "not TOML: " + std::string(description);
}

/// What people most often mean by text that is no value: policy = drop, bandwidth = 450 GB/s.
std::string syntax_hint(std::string_view description) {
  for (const std::string_view sign :
       {"could not determine value type", "a comment or whitespace"}) {
    if (description.find(sign) != std::string_view::npos) {
      return "words and quantities need quotes";
    }
  }
  return "";
}

[[noreturn]] void refuse(SourcePlace place, std::string message) {
  throw UserError(std::vector<Diagnostic>{{.place = std::move(place),
                                           .key = {},
                                           .message = std::move(message),
                                           .source_line = {},
                                           .hint = {}}});
}

toml::table parse_document(std::string_view text,
                           const std::string& file,
                           const std::vector<std::string>& lines) {
  try {
    return toml::parse(text, std::string_view(file));
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    const std::size_t line = at.line;
    throw UserError(std::vector<Diagnostic>{
        {.place = {file, static_cast<int>(at.line), static_cast<int>(at.column)},
         .key = {},
         .message = syntax_message(error.description()),
         .source_line = line >= 1 && line <= lines.size() ? lines[line - 1] : "",
         .hint = syntax_hint(error.description())}});
  }
}

void check_bounds(std::string_view text, const std::string& file) {
  if (text.size() > kLargestFile) {
    refuse({file, 0, 0},
           fmt::format("{} bytes; expected a scenario of at most 1 MiB", text.size()));
  }
  if (std::count(text.begin(), text.end(), '.') > kMostDots) {
    refuse({file, 0, 0}, fmt::format("more than {} dots; no scenario needs that", kMostDots));
  }
}

/// A word with letters beyond ASCII: no TOML, and the library's test for blanks is undefined there.
bool is_foreign_word(std::string_view value) {
  const bool is_nested = std::string_view("\"'[{").find(value.front()) != std::string_view::npos;
  const auto is_foreign = [](char c) { return (static_cast<unsigned char>(c) & 0x80U) != 0; };
  return !is_nested && std::any_of(value.begin(), value.end(), is_foreign);
}

std::optional<toml::table> parse_value(const std::string& value) {
  if (is_foreign_word(value)) {
    return std::nullopt;
  }
  try {
    toml::table document = toml::parse("value = " + value);
    return document.size() == 1 ? std::optional(std::move(document)) : std::nullopt;
  } catch (const toml::parse_error&) {
    return std::nullopt;
  }
}

bool is_key_path(std::string_view path) {
  while (true) {
    const std::size_t dot = path.find('.');
    if (!is_bare_key(path.substr(0, dot))) {
      return false;
    }
    if (dot == std::string_view::npos) {
      return true;
    }
    path.remove_prefix(dot + 1);
  }
}

ConfigTree parse_tree(std::string_view text,
                      const std::string& file,
                      std::string_view prefix,
                      bool with_items) {
  check_bounds(text, file);
  const std::vector<std::string> lines = split_lines(text);
  Flattener flat{.file = file, .lines = lines, .with_items = with_items, .entries = {}};
  flat.flatten(parse_document(text, file, lines), std::string(prefix));
  // The library keeps keys by name; the order of the text is the one users expect.
  const auto in_text_order = [](const ConfigEntry& a, const ConfigEntry& b) {
    return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
  };
  std::stable_sort(flat.entries.begin(), flat.entries.end(), in_text_order);
  ConfigTree tree;
  for (ConfigEntry& entry : flat.entries) {
    tree.put(std::move(entry));
  }
  return tree;
}

}  // namespace

ConfigTree parse_toml(std::string_view text, const std::string& file, std::string_view prefix) {
  return parse_tree(text, file, prefix, false);
}

ConfigTree parse_toml_items(std::string_view text, const std::string& file) {
  return parse_tree(text, file, {}, true);
}

void apply_override(ConfigTree& tree, const std::string& text) {
  const SourcePlace place{"--set " + text, 0, 0};
  const std::size_t equals = text.find('=');
  const std::string path(trimmed(std::string_view(text).substr(0, equals)));
  const std::string value(
      equals == std::string::npos ? "" : trimmed(std::string_view(text).substr(equals + 1)));
  if (!is_key_path(path) || value.empty()) {
    refuse(place, "expected path.to.key=value");
  }
  check_bounds(text, place.file);
  const std::optional<toml::table> document = parse_value(value);
  const toml::node* node = document ? document->get("value") : nullptr;
  if (node == nullptr) {
    tree.put_with_tables({.path = path, .value = value, .place = place, .source_line = {}});
  } else if (!node->is_table()) {
    tree.put_with_tables(
        {.path = path, .value = scalar_value(*node), .place = place, .source_line = {}});
  } else {
    Flattener flat{.file = place.file, .lines = {}, .entries = {}};
    flat.flatten(*node->as_table(), path + ".");
    tree.put_with_tables({.path = path, .value = TableHeader{}, .place = place, .source_line = {}});
    for (ConfigEntry& entry : flat.entries) {
      entry.place = place;
      entry.value_column = 0;
      tree.put(std::move(entry));
    }
  }
}

}  // namespace moesim
