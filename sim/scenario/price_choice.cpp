// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/price_choice.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <utility>

#include "sim/core/text.hpp"

namespace moesim {
namespace {

constexpr std::string_view kTables = "price.gpu";  // [gpu.NAME] of the list

std::string gpu_of(const ConfigTree& scenario) {
  const ConfigEntry* entry = scenario.find("cluster.gpu.name");
  const auto* name = entry == nullptr ? nullptr : std::get_if<std::string>(&entry->value);
  return name == nullptr ? "" : *name;
}

/// "H100" of "price.gpu.H100.gpu_rent"; "" of a path outside of the tables.
std::string table_of(std::string_view path) {
  if (!path.starts_with(kTables) || path.size() <= kTables.size() || path[kTables.size()] != '.') {
    return "";
  }
  path.remove_prefix(kTables.size() + 1);
  return std::string(path.substr(0, path.find('.')));
}

}  // namespace

PriceChoice choose_prices(const ConfigTree& list, const ConfigTree& scenario) {
  PriceChoice choice;
  const std::string gpu = gpu_of(scenario);
  const std::string quoted = quoted_text(gpu);  // as a key that is not bare is spelt
  std::vector<std::string> known;
  std::vector<ConfigEntry> own;
  bool is_known = false;
  for (const ConfigEntry& entry : list.entries()) {
    const std::string table = table_of(entry.path);
    if (table.empty()) {
      if (entry.path != kTables) {
        choice.prices.put(entry);
      }
      continue;
    }
    if (std::find(known.begin(), known.end(), table) == known.end()) {
      known.push_back(table);
    }
    const std::string prefix = fmt::format("{}.{}.", kTables, table);
    is_known = is_known || table == gpu || table == quoted;
    if ((table == gpu || table == quoted) && entry.path.starts_with(prefix)) {
      own.push_back(entry);
      own.back().path = "price." + entry.path.substr(prefix.size());
    }
  }
  for (ConfigEntry& entry : own) {
    choice.prices.put(std::move(entry));
  }
  if (!known.empty() && !gpu.empty() && !is_known) {
    const std::vector<std::string_view> views(known.begin(), known.end());
    const ConfigEntry* named = scenario.find("price.preset");
    Diagnostic mistake = named == nullptr ? Diagnostic{} : mistake_at_value(*named, {});
    mistake.message = fmt::format("the price list has no table of GPU {}", quoted);
    mistake.hint = "known: " + word_list(views);
    choice.diagnostics.push_back(std::move(mistake));
  }
  return choice;
}

}  // namespace moesim
