// SPDX-License-Identifier: Apache-2.0
#include "sim/report/timeline_counters.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace moesim {
namespace {

/// Adds `amount`, spread evenly over [start, end), to the intervals it meets.
class Spreader {
 public:
  Spreader(std::size_t intervals, double interval) : interval_(interval), last_(intervals - 1) {}

  void add(std::vector<double>& values, double start, double end, double amount) const {
    if (end <= start) {
      values[place(start)] += amount;
      return;
    }
    const std::size_t first = place(start);
    const std::size_t last = place(end);
    for (std::size_t i = first; i <= last; ++i) {
      const double from = std::max(start, static_cast<double>(i) * interval_);
      const double to = i == last_ ? end : std::min(end, static_cast<double>(i + 1) * interval_);
      values[i] += amount * std::max(0.0, to - from) / (end - start);
    }
  }

 private:
  [[nodiscard]] std::size_t place(double at) const {
    return std::min(last_, static_cast<std::size_t>(at / interval_));
  }

  double interval_;
  std::size_t last_;
};

/// What is counted: bytes by kind and by chosen link, and seconds of flows by kind.
struct Sums {
  std::vector<std::vector<double>> kind_bytes;
  std::vector<std::vector<double>> kind_flow_s;
  std::vector<std::vector<double>> link_bytes;
};

Sums sums_of(const TimelineInput& input,
             const std::vector<std::size_t>& chosen,
             std::size_t intervals,
             double interval) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> place_of(input.link_rates.size(), kNone);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    place_of[chosen[i]] = i;
  }
  const std::vector<double> zeros(intervals);
  Sums sums{.kind_bytes = std::vector(std::size_t{kNumLinkKinds}, zeros),
            .kind_flow_s = std::vector(std::size_t{kNumLinkKinds}, zeros),
            .link_bytes = std::vector(chosen.size(), zeros)};
  const Spreader spreader(intervals, interval);
  const TaskTimes& times = input.trace.times;
  for (std::size_t t = 0; t < input.trace.graph.tasks.size(); ++t) {
    const Task& task = input.trace.graph.tasks[t];
    if (task.flow_path < 0) {
      continue;
    }
    const FlowPath& path = input.trace.graph.paths[static_cast<std::size_t>(task.flow_path)];
    const double start = times.start[t].to_seconds().value;
    const double end = (times.end[t] - ticks(path.latency)).to_seconds().value;
    for (const LinkId link : path.links) {
      const auto kind = static_cast<std::size_t>(input.fabric.edges[link.index()].kind);
      spreader.add(sums.kind_bytes[kind], start, end, task.bytes.value);
      spreader.add(sums.kind_flow_s[kind], start, end, end - start);
      if (place_of[link.index()] != kNone) {
        spreader.add(sums.link_bytes[place_of[link.index()]], start, end, task.bytes.value);
      }
    }
  }
  return sums;
}

/// What the network saw in place of even spreads.
void take_rates(const LinkSeries& links, Sums& sums) {
  for (std::size_t group = 0; group < links.bytes.size(); ++group) {
    std::vector<double>& values = group < sums.kind_bytes.size()
                                      ? sums.kind_bytes[group]
                                      : sums.link_bytes[group - sums.kind_bytes.size()];
    const std::size_t size = values.size();
    values = links.bytes[group];
    values.resize(size);
  }
}

std::vector<double> divided(std::vector<double> values, double by) {
  for (double& value : values) {
    value /= by;
  }
  return values;
}

}  // namespace

Counters timeline_counters(const TimelineInput& input) {
  SimTime end;
  for (const SimTime time : input.trace.times.end) {
    end = std::max(end, time);
  }
  const LinkSeries& links = input.trace.links;
  const SimTime interval_ticks = links.interval;
  const double interval = interval_ticks.to_seconds().value;
  const auto intervals = static_cast<std::size_t>(std::max<std::int64_t>(
      1, (end.picoseconds + interval_ticks.picoseconds - 1) / interval_ticks.picoseconds));
  const std::vector<std::size_t>& chosen = input.trace.watched;
  Sums sums = sums_of(input, chosen, intervals, interval);
  if (links.is_known()) {
    take_rates(links, sums);
  }
  std::vector<double> kind_rate(std::size_t{kNumLinkKinds});
  for (std::size_t i = 0; i < input.link_rates.size(); ++i) {
    kind_rate[static_cast<std::size_t>(input.fabric.edges[i].kind)] += input.link_rates[i];
  }
  Counters result{.interval = interval_ticks, .is_exact = links.is_known(), .counters = {}};
  for (std::size_t kind = 0; kind < kind_rate.size(); ++kind) {
    if (kind_rate[kind] > 0.0) {
      const std::string_view name = to_text(static_cast<LinkKind>(kind));
      result.counters.push_back({fmt::format("{} links: utilisation", name),
                                 "percent",
                                 divided(sums.kind_bytes[kind], kind_rate[kind] * interval / 100)});
      result.counters.push_back({fmt::format("{} links: flows under way", name),
                                 "flows",
                                 divided(sums.kind_flow_s[kind], interval)});
    }
  }
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    result.counters.push_back(
        {fmt::format("{}: utilisation", input.link_names[chosen[i]]),
         "percent",
         divided(sums.link_bytes[i], input.link_rates[chosen[i]] * interval / 100)});
  }
  return result;
}

}  // namespace moesim
