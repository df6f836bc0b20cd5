// SPDX-License-Identifier: Apache-2.0
#include "sim/core/unit_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <span>

#include "sim/core/check.hpp"
#include "sim/core/text.hpp"

namespace moesim {
namespace {

struct Unit {
  std::string_view name;
  double scale;
  bool written = true;  ///< used when writing; binary and bit units are only read
};

constexpr Unit kByteUnits[] = {{"B", 1},
                               {"kB", 1e3},
                               {"MB", 1e6},
                               {"GB", 1e9},
                               {"TB", 1e12},
                               {"KiB", 1024, false},
                               {"MiB", 0x1p20, false},
                               {"GiB", 0x1p30, false}};
constexpr Unit kSecondUnits[] = {{"ps", 1e-12}, {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}};
constexpr Unit kRateUnits[] = {{"B/s", 1},
                               {"kB/s", 1e3},
                               {"MB/s", 1e6},
                               {"GB/s", 1e9},
                               {"TB/s", 1e12},
                               {"Mbit/s", 1e6 / 8, false},
                               {"Gbit/s", 1e9 / 8, false},
                               {"Tbit/s", 1e12 / 8, false}};
constexpr Unit kFlopUnits[] = {
    {"flop/s", 1}, {"Gflop/s", 1e9}, {"Tflop/s", 1e12}, {"Pflop/s", 1e15}};

std::optional<double> parse(std::string_view text, std::span<const Unit> units) {
  text = trimmed(text);
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number) || std::signbit(number)) {
    return std::nullopt;
  }
  const std::string_view name = trimmed(text.substr(static_cast<std::size_t>(end - text.data())));
  for (const Unit& unit : units) {
    if (unit.name == name && std::isfinite(number * unit.scale)) {
      return number * unit.scale;
    }
  }
  return std::nullopt;
}

/// The number of fewest digits that, in this unit, reads back bit for bit; "" if there is none.
std::string shortest_number(double value, const Unit& unit) {
  constexpr int kEnoughDigits = 17;
  for (int digits = 1; digits <= kEnoughDigits; ++digits) {
    // The detour over double turns "1e+02" into "100".
    const std::string rounded = fmt::format("{:.{}g}", value / unit.scale, digits);
    double number = 0.0;
    std::from_chars(rounded.data(), rounded.data() + rounded.size(), number);
    if (number * unit.scale == value) {
      return fmt::format("{}", number);
    }
  }
  return "";
}

/// Written in the largest unit that leaves a number >= 1 and reads back bit for bit; else in the
/// base unit (scale 1), which always does.
std::string write(double value, std::span<const Unit> units) {
  MOESIM_CHECK(std::isfinite(value) && value >= 0.0, "a quantity that no text can hold");
  const Unit* best = nullptr;
  std::string best_number;
  for (const Unit& unit : units) {
    const bool readable = unit.written && value >= unit.scale;
    const bool better = best == nullptr || unit.scale > best->scale;
    std::string number = readable && better ? shortest_number(value, unit) : "";
    if (!number.empty()) {
      best = &unit;
      best_number = std::move(number);
    }
  }
  if (best == nullptr) {
    const auto is_base = [](const Unit& unit) { return unit.scale == 1.0; };
    best = &*std::find_if(units.begin(), units.end(), is_base);
    best_number = fmt::format("{}", value);
  }
  return fmt::format("{} {}", best_number, best->name);
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

std::string explain_unit_mistake(std::string_view text) {
  text = trimmed(text);
  double number = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::invalid_argument) {
    return "does not start with a number";
  }
  if (error != std::errc{} || !std::isfinite(number)) {
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

}  // namespace moesim
