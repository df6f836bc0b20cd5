// SPDX-License-Identifier: Apache-2.0
// One line of JSON: a writer that keeps the order of its fields, and a reader of the outermost
// fields. Small on purpose: the measurement kit needs nothing but CUDA's libraries and std.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace moesim::measure {

/// A JSON object on one line, fields in order of adding. Numbers are written so that they read back
/// to the same value; NaN and infinities become null.
class JsonLine {
 public:
  JsonLine& add(std::string_view key, std::string_view value);
  JsonLine& add(std::string_view key, const char* value) {
    return add(key, std::string_view(value));
  }
  JsonLine& add(std::string_view key, double value);
  JsonLine& add(std::string_view key, std::int64_t value);
  JsonLine& add(std::string_view key, int value) {
    return add(key, static_cast<std::int64_t>(value));
  }
  JsonLine& add(std::string_view key, std::span<const double> values);
  JsonLine& add(std::string_view key, std::span<const std::int64_t> values);
  JsonLine& add(std::string_view key, const JsonLine& object);
  /// The value, or null.
  JsonLine& add(std::string_view key, std::optional<double> value);
  /// `json` is JSON already.
  JsonLine& add_json(std::string_view key, std::string_view json);

  /// "{...}" without a newline.
  [[nodiscard]] std::string text() const { return "{" + fields_ + "}"; }

 private:
  std::string fields_;
};

/// `text` as a JSON string, quotes included; bytes that are no part of valid UTF-8 become '?'.
[[nodiscard]] std::string json_string(std::string_view text);

/// The outermost fields of one JSON object: key -> its value as written, strings unescaped (only
/// the escapes that json_string writes). std::nullopt if the line is not one whole object.
[[nodiscard]] std::optional<std::map<std::string, std::string, std::less<>>> outer_fields(
    std::string_view line);

}  // namespace moesim::measure
