// SPDX-License-Identifier: Apache-2.0
#include "sim/core/unit_text.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <system_error>

#include "sim/core/check.hpp"
#include "sim/core/text.hpp"

namespace moesim {
namespace {

/// One of it is factor * 10^exponent of the base unit. The power of ten moves the decimal point of
/// the text, so that "300 ns" is the double nearest to 3e-7; the factor is exact in binary.
struct Unit {
  std::string_view name;
  int exponent = 0;
  double factor = 1.0;

  /// Binary and bit units are only read.
  [[nodiscard]] bool is_written() const { return factor == 1.0; }
};

constexpr double kOneEighth = 0.125;
constexpr Unit kByteUnits[] = {{"B"},
                               {"kB", 3},
                               {"MB", 6},
                               {"GB", 9},
                               {"TB", 12},
                               {"KiB", 0, 0x1p10},
                               {"MiB", 0, 0x1p20},
                               {"GiB", 0, 0x1p30}};
constexpr Unit kSecondUnits[] = {{"ps", -12}, {"ns", -9}, {"us", -6}, {"ms", -3}, {"s"}};
constexpr Unit kRateUnits[] = {{"B/s"},
                               {"kB/s", 3},
                               {"MB/s", 6},
                               {"GB/s", 9},
                               {"TB/s", 12},
                               {"Mbit/s", 6, kOneEighth},
                               {"Gbit/s", 9, kOneEighth},
                               {"Tbit/s", 12, kOneEighth}};
constexpr Unit kFlopUnits[] = {{"flop/s"}, {"Gflop/s", 9}, {"Tflop/s", 12}, {"Pflop/s", 15}};
constexpr Unit kDollarUnits[] = {{"USD"}, {"kUSD", 3}, {"MUSD", 6}};
constexpr Unit kDollarRateUnits[] = {{"USD/h"}};
constexpr Unit kEnergyPriceUnits[] = {{"USD/kWh"}};
constexpr Unit kWattUnits[] = {{"W"}, {"kW", 3}, {"MW", 6}};

/// A decimal number at the start of a text, in its parts.
struct Decimal {
  std::string_view digits;  ///< "3.2" of "3.2e4"
  int exponent = 0;         ///< 4
  std::string_view rest;    ///< what follows
};

std::optional<Decimal> leading_decimal(std::string_view text) {
  double number = 0.0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc{} || !std::isfinite(number) || std::signbit(number)) {
    return std::nullopt;
  }
  const auto length = static_cast<std::size_t>(end - text.data());
  Decimal decimal{.digits = text.substr(0, length), .rest = text.substr(length)};
  const std::size_t mark = decimal.digits.find_first_of("eE");
  if (mark == std::string_view::npos) {
    return decimal;
  }
  const std::size_t begin = mark + (decimal.digits[mark + 1] == '+' ? 2U : 1U);
  const auto exponent = std::from_chars(text.data() + begin, end, decimal.exponent);
  if (exponent.ec != std::errc{}) {
    return std::nullopt;
  }
  decimal.digits = decimal.digits.substr(0, mark);
  return decimal;
}

std::optional<double> value_in(const Decimal& decimal, const Unit& unit) {
  const std::string shifted =
      fmt::format("{}e{}", decimal.digits, std::int64_t{decimal.exponent} + unit.exponent);
  double value = 0.0;
  const auto read = std::from_chars(shifted.data(), shifted.data() + shifted.size(), value);
  const bool holds = read.ec == std::errc{} && std::isfinite(value * unit.factor);
  return holds ? std::optional(value * unit.factor) : std::nullopt;
}

std::optional<double> parse(std::string_view text, std::span<const Unit> units) {
  const std::optional<Decimal> decimal = leading_decimal(trimmed(text));
  if (!decimal) {
    return std::nullopt;
  }
  const std::string_view name = trimmed(decimal->rest);
  const auto unit =
      std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == name; });
  return unit == units.end() ? std::nullopt : value_in(*decimal, *unit);
}

/// The shortest digits of a value, d.ddd * 10^exponent, without the point.
struct ShortestDigits {
  std::string digits;
  int exponent = 0;
};

ShortestDigits shortest_digits(double value) {
  char text[32];
  const auto written =
      std::to_chars(std::begin(text), std::end(text), value, std::chars_format::scientific);
  const std::string_view whole(text, static_cast<std::size_t>(written.ptr - text));
  const std::optional<Decimal> decimal = leading_decimal(whole);
  MOESIM_CHECK(decimal.has_value(), "a number that does not read back");
  ShortestDigits shortest{.digits = std::string(decimal->digits), .exponent = decimal->exponent};
  std::erase(shortest.digits, '.');
  return shortest;
}

/// With the decimal point `point` digits after the first one.
std::string plain_number(std::string_view digits, std::size_t point) {
  const std::size_t whole = point + 1;
  return digits.size() <= whole
             ? fmt::format("{:0<{}}", digits, whole)
             : fmt::format("{}.{}", digits.substr(0, whole), digits.substr(whole));
}

/// In the largest unit that leaves a number >= 1; in the base unit with an exponent when there is
/// none, or when the number would be longer than people read.
std::string write(double value, std::span<const Unit> units) {
  MOESIM_CHECK(std::isfinite(value) && value >= 0.0, "a quantity that no text can hold");
  constexpr int kMostDigits = 15;
  const ShortestDigits shortest = shortest_digits(value);
  const Unit* best = nullptr;
  for (const Unit& unit : units) {
    const int point = shortest.exponent - unit.exponent;
    const bool fits = unit.is_written() && point >= 0 && point <= kMostDigits;
    best = fits && (best == nullptr || unit.exponent > best->exponent) ? &unit : best;
  }
  if (value == 0.0 || best == nullptr) {
    const auto is_base = [](const Unit& u) { return u.exponent == 0 && u.factor == 1.0; };
    return fmt::format("{} {}", value, std::find_if(units.begin(), units.end(), is_base)->name);
  }
  const auto point = static_cast<std::size_t>(shortest.exponent - best->exponent);
  return fmt::format("{} {}", plain_number(shortest.digits, point), best->name);
}

/// Units that mean bits to some and bytes to others.
constexpr std::string_view kAmbiguousUnits[] = {"b",
                                                "kb",
                                                "Mb",
                                                "Gb",
                                                "Tb",
                                                "b/s",
                                                "kb/s",
                                                "Mb/s",
                                                "Gb/s",
                                                "Tb/s",
                                                "bps",
                                                "kbps",
                                                "Mbps",
                                                "Gbps",
                                                "Tbps"};

template <typename Q>
std::optional<Q> as(std::optional<double> value) {
  return value ? std::optional<Q>(Q{*value}) : std::nullopt;
}

}  // namespace

std::optional<Bytes> parse_bytes(std::string_view text) {
  return as<Bytes>(parse(text, kByteUnits));
}
std::optional<Seconds> parse_seconds(std::string_view text) {
  return as<Seconds>(parse(text, kSecondUnits));
}
std::optional<BytesPerSecond> parse_bytes_per_second(std::string_view text) {
  return as<BytesPerSecond>(parse(text, kRateUnits));
}
std::optional<FlopsPerSecond> parse_flops_per_second(std::string_view text) {
  return as<FlopsPerSecond>(parse(text, kFlopUnits));
}
std::optional<Dollars> parse_dollars(std::string_view text) {
  return as<Dollars>(parse(text, kDollarUnits));
}
std::optional<DollarsPerHour> parse_dollars_per_hour(std::string_view text) {
  return as<DollarsPerHour>(parse(text, kDollarRateUnits));
}
std::optional<DollarsPerKilowattHour> parse_dollars_per_kilowatt_hour(std::string_view text) {
  return as<DollarsPerKilowattHour>(parse(text, kEnergyPriceUnits));
}
std::optional<Watts> parse_watts(std::string_view text) {
  return as<Watts>(parse(text, kWattUnits));
}

std::string_view bytes_forms() {
  return "a size: <number> B, kB, MB, GB, TB, KiB, MiB or GiB";
}
std::string_view seconds_forms() {
  return "a time: <number> ps, ns, us, ms or s";
}
std::string_view bytes_per_second_forms() {
  return "a bandwidth: <number> B/s, kB/s, MB/s, GB/s, TB/s, Mbit/s, Gbit/s or Tbit/s";
}
std::string_view flops_per_second_forms() {
  return "a compute rate: <number> flop/s, Gflop/s, Tflop/s or Pflop/s";
}
std::string_view dollars_forms() {
  return "a sum of money: <number> USD, kUSD or MUSD";
}
std::string_view dollars_per_hour_forms() {
  return "a price per hour: <number> USD/h";
}
std::string_view dollars_per_kilowatt_hour_forms() {
  return "a price of energy: <number> USD/kWh";
}
std::string_view watts_forms() {
  return "a power: <number> W, kW or MW";
}

std::string explain_unit_mistake(std::string_view text) {
  text = trimmed(text);
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::invalid_argument) {
    return "does not start with a number";
  }
  constexpr double kLargestUnit = 1e15;
  constexpr double kSmallestUnit = 1e-12;
  const bool vanishes = number != 0.0 && number * kSmallestUnit == 0.0;
  if (error != std::errc{} || !std::isfinite(number * kLargestUnit) || vanishes) {
    return "is not a finite number";
  }
  if (std::signbit(number)) {
    return "is negative";
  }
  const std::string_view unit = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
  if (unit.empty()) {
    return "has no unit";
  }
  const bool ambiguous = std::find(std::begin(kAmbiguousUnits), std::end(kAmbiguousUnits), unit) !=
                         std::end(kAmbiguousUnits);
  return ambiguous ? "is ambiguous" : fmt::format("has the wrong unit {}", quoted_text(unit));
}

std::string to_text(Bytes value) {
  return write(value.value, kByteUnits);
}
std::string to_text(Seconds value) {
  return write(value.value, kSecondUnits);
}
std::string to_text(BytesPerSecond value) {
  return write(value.value, kRateUnits);
}
std::string to_text(FlopsPerSecond value) {
  return write(value.value, kFlopUnits);
}
std::string to_text(Dollars value) {
  return write(value.value, kDollarUnits);
}
std::string to_text(DollarsPerHour value) {
  return write(value.value, kDollarRateUnits);
}
std::string to_text(DollarsPerKilowattHour value) {
  return write(value.value, kEnergyPriceUnits);
}
std::string to_text(Watts value) {
  return write(value.value, kWattUnits);
}

}  // namespace moesim
