// SPDX-License-Identifier: Apache-2.0
// Units of money and power, apart from those of physics (units.hpp): each a double with its unit in
// the type.
#pragma once

#include <compare>

namespace moesim {

/// A double tagged with a unit.
template <typename Tag>
struct CostUnit {
  double value = 0.0;

  constexpr auto operator<=>(const CostUnit&) const = default;
  constexpr CostUnit operator+(CostUnit o) const { return {value + o.value}; }
  constexpr CostUnit operator*(double scale) const { return {value * scale}; }
  constexpr CostUnit operator/(double scale) const { return {value / scale}; }
};

using Dollars = CostUnit<struct DollarsTag>;
using DollarsPerHour = CostUnit<struct DollarsPerHourTag>;
using DollarsPerKilowattHour = CostUnit<struct DollarsPerKilowattHourTag>;
using Watts = CostUnit<struct WattsTag>;

inline constexpr double kHoursPerYear = 365 * 24;
inline constexpr double kSecondsPerHour = 3600;

}  // namespace moesim
