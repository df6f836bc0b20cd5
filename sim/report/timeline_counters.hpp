// SPDX-License-Identifier: Apache-2.0
// How busy links are over the time of a step.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sim/report/timeline.hpp"

namespace moesim {

/// One quantity in equal intervals of the step.
struct Counter {
  std::string name;
  std::string unit;            ///< "percent", "flows"
  std::vector<double> values;  ///< means over the intervals
};

struct Counters {
  SimTime interval;
  std::vector<Counter> counters;
};
inline constexpr std::int64_t kCounterIntervals = 1000;
inline constexpr std::size_t kCounterLinks = 8;

/// Utilisation of each kind of link and of the kCounterLinks busiest links, and flows under way by
/// kind:
///
///   utilisation(interval) = bytes in it / (effective rate * interval)
///
/// The bytes of a flow are spread evenly between its start and the departure of its last byte (its
/// end less the path's latency), so the area under a counter is exact, while its shape inside a
/// flow's life is a mean: max-min rates change as other flows come and go, and a counter can pass
/// 100 % for a moment.
/// Checked by: timeline_test (areas equal link bytes).
[[nodiscard]] Counters timeline_counters(const TimelineInput& input);

}  // namespace moesim
