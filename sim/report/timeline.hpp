// SPDX-License-Identifier: Apache-2.0
// One step as a timeline in Chrome's trace event format, which ui.perfetto.dev opens.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/step/fabric_view.hpp"
#include "sim/step/step_trace.hpp"

namespace moesim {

struct TimelineInput {
  const StepTrace& trace;
  const FabricView& fabric;
  std::span<const double> link_rates;       ///< effective bytes/s, by LinkId
  std::span<const std::string> link_names;  ///< by LinkId
  std::string_view scenario;
  int step = 0;
};

/// Ranks that get tracks: all, or one of every 2^n such that at most kMostTracks ranks and
/// kMostFlowEvents flows of theirs are left. One of each run of 2^n ranks, not the same place in
/// each, so that every rail is seen.
[[nodiscard]] std::vector<RankId> timeline_ranks(const StepTrace& trace);
inline constexpr std::size_t kMostTracks = 64;
inline constexpr std::size_t kMostFlowEvents = 100'000;

/// Writes the document piece by piece to `sink`. A process a rank with the threads "compute" (gate,
/// experts, weighted sum) and "communication" (dispatch, combine, their kernel starts inside);
/// flows, message issue and pipeline fills are async events of the rank that sends; the process
/// "network" has counters (timeline_counters.hpp). Times are in microseconds with six decimals:
/// exact picoseconds. Checked by: timeline_test (durations average to the report's phases).
void write_timeline(const TimelineInput& input, const std::function<void(std::string_view)>& sink);

}  // namespace moesim
