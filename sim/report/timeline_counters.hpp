// SPDX-License-Identifier: Apache-2.0
// How busy links are over the time of a step.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "sim/report/timeline.hpp"
#include "sim/report/trace_events.hpp"
#include "sim/step/link_sums.hpp"

namespace moesim {

/// One quantity in equal intervals of the step.
struct Counter {
  std::string name;
  std::string unit;            ///< "percent", "flows"
  std::vector<double> values;  ///< means over the intervals
};

struct Counters {
  SimTime interval;
  bool is_exact = false;  ///< at the rates that flows had; else spread evenly over their lives
  std::vector<Counter> counters;
};

/// Utilisation of each kind of link and of the busiest links, and flows under way by kind:
///
///   utilisation(interval) = bytes in it / (effective rate * interval)
///
/// The bytes are those that flows sent in the interval at the rates that the network gave them
/// (link_series.hpp). Engines without rates (message, simgrid): the bytes of a flow are spread
/// evenly between its start and the departure of its last byte (its end less the path's latency),
/// so that the area under a counter is exact while its shape inside a flow's life is a mean and may
/// pass 100 %. Checked by: timeline_test (areas equal link bytes; never above 100 %).
[[nodiscard]] Counters timeline_counters(const TimelineInput& input);

/// The first of these: two of each kind of link that there is.
/// @param link_rates  effective bytes/s, by LinkId as `kinds`
[[nodiscard]] std::vector<Counter> kind_counters(const LinkSums& sums,
                                                 std::span<const double> link_rates,
                                                 std::span<const LinkKind> kinds);

/// As counters of a process; a value is written where it changes.
void write_counters(std::span<const Counter> counters,
                    SimTime interval,
                    std::size_t process,
                    TraceEvents& events);

}  // namespace moesim
