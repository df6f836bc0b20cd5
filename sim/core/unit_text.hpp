// SPDX-License-Identifier: Apache-2.0
// Physical values as text with a unit, both ways: "50 GB/s", "3.2 us", "141 GB", "989 Tflop/s",
// "30 kUSD", "700 W".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sim/core/cost_units.hpp"
#include "sim/core/units.hpp"

namespace moesim {

/// Each parser returns std::nullopt when the text is not "<number> <unit>" with a unit it lists;
/// the number must be finite and not negative.
[[nodiscard]] std::optional<Bytes> parse_bytes(std::string_view text);
[[nodiscard]] std::optional<Seconds> parse_seconds(std::string_view text);
[[nodiscard]] std::optional<BytesPerSecond> parse_bytes_per_second(std::string_view text);
[[nodiscard]] std::optional<FlopsPerSecond> parse_flops_per_second(std::string_view text);
[[nodiscard]] std::optional<Dollars> parse_dollars(std::string_view text);
[[nodiscard]] std::optional<DollarsPerHour> parse_dollars_per_hour(std::string_view text);
[[nodiscard]] std::optional<DollarsPerKilowattHour> parse_dollars_per_kilowatt_hour(
    std::string_view text);
[[nodiscard]] std::optional<Watts> parse_watts(std::string_view text);

/// What each parser accepts, for error messages: "<number> B, kB, MB, ...".
[[nodiscard]] std::string_view bytes_forms();
[[nodiscard]] std::string_view seconds_forms();
[[nodiscard]] std::string_view bytes_per_second_forms();
[[nodiscard]] std::string_view flops_per_second_forms();
[[nodiscard]] std::string_view dollars_forms();
[[nodiscard]] std::string_view dollars_per_hour_forms();
[[nodiscard]] std::string_view dollars_per_kilowatt_hour_forms();
[[nodiscard]] std::string_view watts_forms();

/// Why a text is not the quantity asked for: "is ambiguous", "has no unit", "is negative", ...
/// Call it only for a text that the parser refused.
[[nodiscard]] std::string explain_unit_mistake(std::string_view text);

/// The shortest decimal text that parses back to the same double, with a readable unit.
[[nodiscard]] std::string to_text(Bytes value);
[[nodiscard]] std::string to_text(Seconds value);
[[nodiscard]] std::string to_text(BytesPerSecond value);
[[nodiscard]] std::string to_text(FlopsPerSecond value);
[[nodiscard]] std::string to_text(Dollars value);
[[nodiscard]] std::string to_text(DollarsPerHour value);
[[nodiscard]] std::string to_text(DollarsPerKilowattHour value);
[[nodiscard]] std::string to_text(Watts value);

}  // namespace moesim
