// SPDX-License-Identifier: Apache-2.0
#include "sim/study/scalar.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <cmath>
#include <optional>

namespace moesim {
namespace {

struct ScalarText {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return value; }
};

struct ScalarJson {
  nlohmann::ordered_json operator()(std::monostate) const { return nullptr; }
  template <typename T>
  nlohmann::ordered_json operator()(const T& value) const {
    return value;
  }
};

std::optional<double> number(const Scalar& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    return static_cast<double>(*integer);
  }
  const auto* real = std::get_if<double>(&value);
  return real == nullptr || std::isnan(*real) ? std::nullopt : std::optional(*real);
}

template <typename T>
std::optional<T> parsed(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

}  // namespace

std::string to_text(const Scalar& value) {
  return std::visit(ScalarText{}, value);
}

nlohmann::ordered_json to_json(const Scalar& value) {
  return std::visit(ScalarJson{}, value);
}

Scalar scalar_of(const nlohmann::ordered_json& json) {
  using Json = nlohmann::ordered_json;
  switch (json.type()) {
    case Json::value_t::null:
    case Json::value_t::discarded:
      return std::monostate{};
    case Json::value_t::boolean:
      return json.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return json.get<std::int64_t>();
    case Json::value_t::number_float:
      return json.get<double>();
    case Json::value_t::string:
      return json.get<std::string>();
    case Json::value_t::object:
    case Json::value_t::array:
    case Json::value_t::binary:
      break;
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::weak_ordering order_of(const Scalar& a, const Scalar& b) {
  const bool a_none = std::holds_alternative<std::monostate>(a);
  const bool b_none = std::holds_alternative<std::monostate>(b);
  if (a_none || b_none) {
    return a_none <=> b_none;
  }
  const std::optional<double> x = number(a);
  const std::optional<double> y = number(b);
  if (x && y) {
    return *x < *y   ? std::weak_ordering::less
           : *y < *x ? std::weak_ordering::greater
                     : std::weak_ordering::equivalent;
  }
  if (x || y) {
    return x ? std::weak_ordering::less : std::weak_ordering::greater;
  }
  return to_text(a) <=> to_text(b);
}

Scalar scalar_of_text(std::string_view text) {
  if (text == "true" || text == "false") {
    return text == "true";
  }
  if (const auto integer = parsed<std::int64_t>(text)) {
    return *integer;
  }
  if (const auto real = parsed<double>(text); real && std::isfinite(*real)) {
    return *real;
  }
  return std::string(text);
}

}  // namespace moesim
