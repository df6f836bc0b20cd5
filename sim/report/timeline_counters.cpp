// SPDX-License-Identifier: Apache-2.0
#include "sim/report/timeline_counters.hpp"

#include <fmt/core.h>

#include <cstdint>

namespace moesim {
namespace {

std::vector<double> divided(std::vector<double> values, double by) {
  for (double& value : values) {
    value /= by;
  }
  return values;
}

}  // namespace

Counters timeline_counters(const TimelineInput& input) {
  std::vector<LinkKind> kinds;
  for (const FabricView::Edge& edge : input.fabric.edges) {
    kinds.push_back(edge.kind);
  }
  const LinkSums sums = link_sums(input.trace, kinds);
  const std::vector<std::size_t>& chosen = input.trace.watched;
  const double interval = sums.interval.to_seconds().value;
  Counters result{.interval = sums.interval,
                  .is_exact = sums.is_exact,
                  .counters = kind_counters(sums, input.link_rates, kinds)};
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    result.counters.push_back(
        {fmt::format("{}: utilisation", input.link_names[chosen[i]]),
         "percent",
         divided(sums.link_bytes[i], input.link_rates[chosen[i]] * interval / 100)});
  }
  return result;
}

std::vector<Counter> kind_counters(const LinkSums& sums,
                                   std::span<const double> link_rates,
                                   std::span<const LinkKind> kinds) {
  const double interval = sums.interval.to_seconds().value;
  std::vector<double> kind_rate(std::size_t{kNumLinkKinds});
  for (std::size_t i = 0; i < link_rates.size(); ++i) {
    kind_rate[static_cast<std::size_t>(kinds[i])] += link_rates[i];
  }
  std::vector<Counter> counters;
  for (std::size_t kind = 0; kind < kind_rate.size(); ++kind) {
    if (kind_rate[kind] > 0.0) {
      const std::string_view name = to_text(static_cast<LinkKind>(kind));
      counters.push_back({fmt::format("{} links: utilisation", name),
                          "percent",
                          divided(sums.kind_bytes[kind], kind_rate[kind] * interval / 100)});
      counters.push_back({fmt::format("{} links: flows under way", name),
                          "flows",
                          divided(sums.kind_flow_s[kind], interval)});
    }
  }
  return counters;
}

void write_counters(std::span<const Counter> counters,
                    SimTime interval,
                    std::size_t process,
                    TraceEvents& events) {
  for (const Counter& counter : counters) {
    double before = -1.0;
    for (std::size_t i = 0; i < counter.values.size(); ++i) {
      const double value = counter.values[i];
      if (value != before) {
        events.counter(process,
                       {interval.picoseconds * static_cast<std::int64_t>(i)},
                       counter.name,
                       counter.unit,
                       value);
      }
      before = value;
    }
  }
}

}  // namespace moesim
