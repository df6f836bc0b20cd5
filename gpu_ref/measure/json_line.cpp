// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/json_line.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>

namespace moesim::measure {
namespace {

template <typename Number>
std::string number_text(Number value) {
  std::array<char, 32> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  return std::string(digits.data(), end);
}

std::string number(double value) {
  return std::isfinite(value) ? number_text(value) : "null";
}

template <typename Number, typename Text>
std::string list(std::span<const Number> values, Text text) {
  std::string out = "[";
  for (const Number value : values) {
    out += out.size() > 1 ? "," : "";
    out += text(value);
  }
  return out + "]";
}

/// Bytes of the valid UTF-8 sequence that starts `text`, 0 if none does.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0x80                   ? 1
                             : lead >= 0xC2 && lead < 0xE0 ? 2
                             : lead >= 0xE0 && lead < 0xF0 ? 3
                             : lead >= 0xF0 && lead < 0xF5 ? 4
                                                           : 0;
  if (length == 0 || text.size() < length) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) {
      return 0;
    }
  }
  return length;
}

std::string control_escape(char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  return std::string("\\u00") + kHex[byte >> 4U] + kHex[byte & 0xFU];
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// Reads the fields of one object from left to right; any oddity ends it with failure.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  std::optional<std::map<std::string, std::string, std::less<>>> object() {
    std::map<std::string, std::string, std::less<>> fields;
    if (!take('{')) {
      return std::nullopt;
    }
    for (bool more = !take('}'); more; more = !take('}')) {
      const auto key = fields.empty() || take(',') ? string() : std::nullopt;
      const auto value = key && take(':') ? any() : std::nullopt;
      if (!value || !fields.emplace(*key, *value).second) {
        return std::nullopt;
      }
    }
    skip_blanks();
    return at_ == text_.size() ? std::optional(fields) : std::nullopt;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  bool take(char wanted) {
    skip_blanks();
    const bool found = at_ < text_.size() && text_[at_] == wanted;
    at_ += found ? 1 : 0;
    return found;
  }

  /// The character that the escape behind a backslash stands for.
  std::optional<char> escaped() {
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    if (c == '"' || c == '\\') {
      return c;
    }
    if (c != 'u' || at_ + 4 > text_.size() || text_.substr(at_, 2) != "00") {
      return std::nullopt;
    }
    const int high = hex_digit(text_[at_ + 2]);
    const int low = hex_digit(text_[at_ + 3]);
    at_ += 4;
    return high < 0 || low < 0 ? std::nullopt : std::optional(static_cast<char>(high * 16 + low));
  }

  std::optional<std::string> string() {
    std::string out;
    if (!take('"')) {
      return std::nullopt;
    }
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') {
        return out;
      }
      const std::optional<char> next = c == '\\' ? escaped() : std::optional(c);
      if (!next) {
        return std::nullopt;
      }
      out += *next;
    }
    return std::nullopt;
  }

  /// Any value: strings unescaped, numbers and words as they stand, nested ones as their text.
  std::optional<std::string> any() {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '"') {
      return string();
    }
    const std::size_t begin = at_;
    return skip_value() && at_ > begin
               ? std::optional(std::string(text_.substr(begin, at_ - begin)))
               : std::nullopt;
  }

  /// Goes to the comma or brace behind a number, word, list or object; false if it does not close.
  bool skip_value() {
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (depth == 0 && (c == ',' || c == '}')) {
        return true;
      }
      if (c == '"' && !string()) {
        return false;
      }
      if (c != '"') {
        depth += c == '{' || c == '[' ? 1 : (c == '}' || c == ']' ? -1 : 0);
        ++at_;
      }
    }
    return depth == 0;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const char c = text[0];
    const std::size_t length = sequence_length(text);
    if (c == '"' || c == '\\') {
      out += std::string("\\") + c;
    } else if (length == 0) {
      out += '?';
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += control_escape(c);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out + "\"";
}

JsonLine& JsonLine::add_json(std::string_view key, std::string_view json) {
  fields_ += fields_.empty() ? "" : ",";
  fields_ += json_string(key);
  fields_ += ':';
  fields_ += json;
  return *this;
}

JsonLine& JsonLine::add(std::string_view key, std::string_view value) {
  return add_json(key, json_string(value));
}

JsonLine& JsonLine::add(std::string_view key, double value) {
  return add_json(key, number(value));
}

JsonLine& JsonLine::add(std::string_view key, std::int64_t value) {
  return add_json(key, number_text(value));
}

JsonLine& JsonLine::add(std::string_view key, std::span<const double> values) {
  return add_json(key, list(values, number));
}

JsonLine& JsonLine::add(std::string_view key, std::span<const std::int64_t> values) {
  return add_json(key, list(values, number_text<std::int64_t>));
}

JsonLine& JsonLine::add(std::string_view key, const JsonLine& object) {
  return add_json(key, object.text());
}

JsonLine& JsonLine::add(std::string_view key, std::optional<double> value) {
  return add_json(key, value ? number(*value) : "null");
}

std::optional<std::map<std::string, std::string, std::less<>>> outer_fields(std::string_view line) {
  return Reader(line).object();
}

}  // namespace moesim::measure
