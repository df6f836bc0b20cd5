// SPDX-License-Identifier: Apache-2.0
// One value of a scenario key or of a report.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace moesim {

/// Nothing, a boolean, an integer, a number or a text.
using Scalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

/// As people read it and CSV has it: "" for nothing, text without quotes, the shortest decimal that
/// reads back to the same number.
[[nodiscard]] std::string to_text(const Scalar& value);

[[nodiscard]] nlohmann::ordered_json to_json(const Scalar& value);
/// Nothing for null; lists and objects as their JSON text.
[[nodiscard]] Scalar scalar_of(const nlohmann::ordered_json& json);

/// Integers and other numbers by value, texts by their bytes; numbers before texts, nothing last.
[[nodiscard]] std::weak_ordering order_of(const Scalar& a, const Scalar& b);

/// What a user typed: an integer, a number, true, false, or a text.
[[nodiscard]] Scalar scalar_of_text(std::string_view text);

}  // namespace moesim
