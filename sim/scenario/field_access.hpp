// SPDX-License-Identifier: Apache-2.0
// The visitor with the struct members' own types; used by the files that declare fields only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/unit_text.hpp"
#include "sim/scenario/fields.hpp"

namespace moesim {

inline constexpr CountRange kAtLeastOne{.min = 1};
inline constexpr CountRange kMayBeZero{.min = 0};
inline constexpr CountRange kLayers{.min = 1, .max = 100'000};

[[nodiscard]] constexpr Key required(std::string_view name) {
  return {name, Need::kRequired};
}
[[nodiscard]] constexpr Key optional(std::string_view name) {
  return {name, Need::kOptional};
}

/// The visitor with the struct members' own types: enums, ints and quantities.
class Fields {
 public:
  explicit Fields(FieldVisitor& visitor) : to_(visitor) {}

  void begin(Key key) { to_.begin_table(key); }
  void end() { to_.end_table(); }
  void text(Key key, std::string& value) { to_.text(key, value); }
  void list(Key key, std::vector<std::string>& items) { to_.list(key, items); }
  void flag(Key key, bool& value) { to_.flag(key, value); }
  void number(Key key, double& value, NumberRange range) { to_.number(key, value, range); }

  template <typename Integer>
  void count(Key key, Integer& value, CountRange range) {
    auto wide = static_cast<std::int64_t>(value);
    to_.count(key, wide, range);
    value = static_cast<Integer>(wide);
  }
  template <typename Enum>
  void word(Key key, Enum& value, std::span<const std::string_view> words) {
    auto index = static_cast<int>(value);
    to_.word(key, index, words);
    value = static_cast<Enum>(index);
  }
  /// More than zero.
  template <typename Q>
  void positive(Key key, Q& value) {
    to_.quantity(key, value.value, unit_of(value, false));
  }
  template <typename Q>
  void not_negative(Key key, Q& value) {
    to_.quantity(key, value.value, unit_of(value, true));
  }

 private:
  template <typename Q, std::optional<Q> (*Parse)(std::string_view)>
  static UnitKind make_unit(std::string_view (*forms)(), bool zero_is_valid) {
    const auto parse = [](std::string_view text) {
      const std::optional<Q> value = Parse(text);
      return value ? std::optional(value->value) : std::nullopt;
    };
    const auto write = [](double value) { return to_text(Q{value}); };
    return {.parse = parse, .forms = forms, .write = write, .zero_is_valid = zero_is_valid};
  }
  static UnitKind unit_of(Bytes, bool zero) {
    return make_unit<Bytes, parse_bytes>(bytes_forms, zero);
  }
  static UnitKind unit_of(Seconds, bool zero) {
    return make_unit<Seconds, parse_seconds>(seconds_forms, zero);
  }
  static UnitKind unit_of(BytesPerSecond, bool zero) {
    return make_unit<BytesPerSecond, parse_bytes_per_second>(bytes_per_second_forms, zero);
  }
  static UnitKind unit_of(Dollars, bool zero) {
    return make_unit<Dollars, parse_dollars>(dollars_forms, zero);
  }
  static UnitKind unit_of(DollarsPerHour, bool zero) {
    return make_unit<DollarsPerHour, parse_dollars_per_hour>(dollars_per_hour_forms, zero);
  }
  static UnitKind unit_of(DollarsPerKilowattHour, bool zero) {
    return make_unit<DollarsPerKilowattHour, parse_dollars_per_kilowatt_hour>(
        dollars_per_kilowatt_hour_forms, zero);
  }
  static UnitKind unit_of(Watts, bool zero) {
    return make_unit<Watts, parse_watts>(watts_forms, zero);
  }
  static UnitKind unit_of(FlopsPerSecond, bool zero) {
    return make_unit<FlopsPerSecond, parse_flops_per_second>(flops_per_second_forms, zero);
  }

  FieldVisitor& to_;
};

/// Of the keys that name a number format.
[[nodiscard]] std::span<const std::string_view> dtype_words();

/// The table [placement].
void placement_fields(Fields& f, PlacementSpec& placement);

/// The table [price].
void price_fields(Fields& f, PriceSpec& price);

/// The table [requests].
void request_fields(Fields& f, RequestSpec& requests);
/// The table [routing].
void routing_fields(Fields& f, RoutingSpec& routing);

/// [model], with [model.attention].
void model_fields(Fields& f, ModelShape& m);

}  // namespace moesim
