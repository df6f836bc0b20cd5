// SPDX-License-Identifier: Apache-2.0
// Requests over time as a timeline in Chrome's trace event format, which ui.perfetto.dev opens.
#pragma once

#include <functional>
#include <string_view>

#include "sim/report/serving_report.hpp"

namespace moesim {

inline constexpr std::size_t kMostTimelineRequests = 20'000;

/// Writes the document piece by piece. A process an EP group; its requests are async events (queue,
/// prefill, decode) with their tokens, attention group and preemptions: all, or every n-th such
/// that at most kMostTimelineRequests are left (`otherData` says how many). The process "system"
/// has counters by interval: requests that wait and run, KV cache and busy part in percent,
/// tokens/s. Requests that were not done are left out. Times are in microseconds with six decimals.
/// Checked by: cli_serving_test.
void write_serving_timeline(const ServingReport& report,
                            const std::function<void(std::string_view)>& sink);

}  // namespace moesim
