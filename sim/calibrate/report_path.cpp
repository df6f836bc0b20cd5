// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/report_path.hpp"

#include <nlohmann/json.hpp>

#include <charconv>

namespace moesim::calibrate {

using Json = nlohmann::ordered_json;

std::vector<std::string> split_path(std::string_view path, char at) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = path.find(at);
    parts.emplace_back(path.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    path.remove_prefix(end + 1);
  }
}

const Json* child(const Json& at, const std::string& key) {
  if (at.is_array()) {
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    const bool whole = error == std::errc{} && end == key.data() + key.size();
    return whole && index < at.size() ? &at[index] : nullptr;
  }
  return at.is_object() && at.contains(key) ? &at[key] : nullptr;
}

const Json* at_path(const Json& report, std::string_view path) {
  const Json* at = &report;
  for (const std::string& key : split_path(path)) {
    at = child(*at, key);
    if (at == nullptr) {
      return nullptr;
    }
  }
  return at;
}

}  // namespace moesim::calibrate
