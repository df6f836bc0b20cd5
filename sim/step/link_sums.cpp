// SPDX-License-Identifier: Apache-2.0
#include "sim/step/link_sums.hpp"

#include <algorithm>
#include <cstdint>

namespace moesim {
namespace {

/// What the network saw in place of even spreads.
void take_rates(const LinkSeries& links, LinkSums& sums) {
  for (std::size_t group = 0; group < links.bytes.size(); ++group) {
    std::vector<double>& values = group < sums.kind_bytes.size()
                                      ? sums.kind_bytes[group]
                                      : sums.link_bytes[group - sums.kind_bytes.size()];
    const std::size_t size = values.size();
    values = links.bytes[group];
    values.resize(size);
  }
}

void spread_flows(const StepTrace& trace, std::span<const LinkKind> kinds, LinkSums& sums) {
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> place_of(kinds.size(), kNone);
  for (std::size_t i = 0; i < trace.watched.size(); ++i) {
    place_of[trace.watched[i]] = i;
  }
  const EvenSpread spread(sums.interval, sums.kind_bytes.front().size());
  const TaskTimes& times = trace.times;
  for (std::size_t t = 0; t < trace.graph.tasks.size(); ++t) {
    const Task& task = trace.graph.tasks[t];
    if (task.flow_path < 0) {
      continue;
    }
    const FlowPath& path = trace.graph.paths[static_cast<std::size_t>(task.flow_path)];
    const double start = times.start[t].to_seconds().value;
    const double end = (times.end[t] - ticks(path.latency)).to_seconds().value;
    for (const LinkId link : path.links) {
      const auto kind = static_cast<std::size_t>(kinds[link.index()]);
      spread.add(sums.kind_bytes[kind], start, end, task.bytes.value);
      spread.add(sums.kind_flow_s[kind], start, end, end - start);
      if (place_of[link.index()] != kNone) {
        spread.add(sums.link_bytes[place_of[link.index()]], start, end, task.bytes.value);
      }
    }
  }
}

}  // namespace

EvenSpread::EvenSpread(SimTime interval, std::size_t intervals)
    : interval_(interval.to_seconds().value), last_(intervals - 1) {}

void EvenSpread::add(std::span<double> values, double start, double end, double amount) const {
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

std::size_t EvenSpread::place(double at) const {
  return std::min(last_, static_cast<std::size_t>(at / interval_));
}

LinkSums link_sums(const StepTrace& trace, std::span<const LinkKind> kinds) {
  SimTime end;
  for (const SimTime time : trace.times.end) {
    end = std::max(end, time);
  }
  LinkSums sums;
  sums.interval = trace.links.interval;
  sums.is_exact = trace.links.is_known();
  const auto intervals = static_cast<std::size_t>(std::max<std::int64_t>(
      1, (end.picoseconds + sums.interval.picoseconds - 1) / sums.interval.picoseconds));
  const std::vector<double> zeros(intervals);
  sums.kind_bytes.assign(std::size_t{kNumLinkKinds}, zeros);
  sums.kind_flow_s.assign(std::size_t{kNumLinkKinds}, zeros);
  sums.link_bytes.assign(trace.watched.size(), zeros);
  spread_flows(trace, kinds, sums);
  take_rates(trace.links, sums);
  return sums;
}

}  // namespace moesim
