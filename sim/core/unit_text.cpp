// SPDX-License-Identifier: Apache-2.0
#include "sim/core/unit_text.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <span>

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

/// Written in the largest unit that leaves a number >= 1 and reads back bit for bit; base units
/// (scale 1) always do.
std::string write(double value, std::span<const Unit> units) {
  const Unit* best = nullptr;
  for (const Unit& unit : units) {
    const double number = value / unit.scale;
    const bool exact = parse(fmt::format("{} {}", number, unit.name), units) == value;
    if (unit.written && exact && (unit.scale == 1.0 || number >= 1.0) &&
        (best == nullptr || (number >= 1.0 && unit.scale > best->scale) ||
         value / best->scale < 1.0)) {
      best = &unit;
    }
  }
  return fmt::format("{} {}", value / best->scale, best->name);
}

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
