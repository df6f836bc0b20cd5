// SPDX-License-Identifier: Apache-2.0
#include "sim/report/timeline.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <string>

#include "sim/report/timeline_counters.hpp"
#include "sim/report/trace_events.hpp"
#include "sim/step/pass_labels.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, kNumTracks> kTrackNames = {
    "compute", "communication", "communication, second micro-batch"};

/// Threads count from 1.
int thread_of(Track track) {
  return static_cast<int>(track) + 1;
}

class TimelineWriter {
 public:
  TimelineWriter(const TimelineInput& input, const std::function<void(std::string_view)>& sink)
      : input_(input),
        tasks_(input.trace.graph.tasks),
        times_(input.trace.times),
        ranks_(timeline_ranks(input.trace)),
        shown_(static_cast<std::size_t>(input.trace.ranks)),
        events_(sink,
                "ns",
                fmt::format("\"scenario\":{},\"step\":{},\"ranks\":{},\"ranks_shown\":{}",
                            json_text(input.scenario),
                            input.step,
                            input.trace.ranks,
                            ranks_.size())) {
    for (const RankId rank : ranks_) {
      shown_[rank.index()] = true;
    }
  }

  void write() {
    for (const RankId rank : ranks_) {
      name_tracks(rank);
    }
    for (const TrackSpan& span : input_.trace.spans) {
      if (shown_[static_cast<std::size_t>(span.rank)]) {
        add_span(span);
      }
    }
    add_async();
    add_counters();
    events_.close();
  }

 private:
  void name_tracks(RankId rank) {
    const std::string& gpu = input_.fabric.nodes[input_.fabric.gpus[rank.index()]].name;
    events_.name_process(rank.index(), fmt::format("rank {} ({})", rank.value, gpu), rank.value);
    for (int track = 0; track < num_tracks(); ++track) {
      events_.name_thread({rank.index(), track + 1}, kTrackNames[static_cast<std::size_t>(track)]);
    }
  }

  [[nodiscard]] int num_tracks() const {
    int most = 2;
    for (const TrackSpan& span : input_.trace.spans) {
      most = std::max(most, thread_of(span.track));
    }
    return most;
  }

  void add_span(const TrackSpan& span) {
    const SimTime start = times_.start[span.from.index()];
    events_.span({static_cast<std::size_t>(span.rank), thread_of(span.track)},
                 start,
                 times_.end[span.to.index()] - start,
                 "moe",
                 span.name,
                 fmt::format("\"layer\":{}", span.layer));
  }

  /// Flows, message issue, pipeline fills and second kernels: they overlap, so each is a track.
  void add_async() {
    std::vector<bool> in_a_span(tasks_.size());
    for (const TrackSpan& span : input_.trace.spans) {
      in_a_span[span.from.index()] = in_a_span[span.from.index()] || span.from == span.to;
    }
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      const TaskLabel& label = tasks_[t].label;
      const std::string_view name = async_name(label);
      const bool lasts = times_.end[t] > times_.start[t];
      if (!name.empty() && !in_a_span[t] && lasts && shown_[static_cast<std::size_t>(label.rank)]) {
        add_pair(t, name);
      }
    }
  }

  void add_pair(std::size_t t, std::string_view name) {
    const Task& task = tasks_[t];
    const bool is_flow = task.flow_path >= 0;
    std::string more;
    if (is_flow) {
      const FlowPath& path = input_.trace.graph.paths[static_cast<std::size_t>(task.flow_path)];
      more = fmt::format(
          ",\"to\":{},\"bytes\":{:.0f},\"links\":{}",
          json_text(
              input_.fabric.nodes[input_.fabric.edges[path.links.back().index()].target].name),
          task.bytes.value,
          path.links.size());
    }
    const TrackId track{static_cast<std::size_t>(task.label.rank),
                        thread_of(Track::kCommunication)};
    const std::string_view category = is_flow ? "flow" : "kernel";
    events_.begin(track,
                  category,
                  t,
                  times_.start[t],
                  name,
                  fmt::format("\"layer\":{}{}", task.label.layer, more));
    events_.end(track, category, t, times_.end[t], name);
  }

  void add_counters() {
    const Counters counters = timeline_counters(input_);
    events_.name_process(shown_.size(), "network", -1);
    write_counters(counters.counters, counters.interval, shown_.size(), events_);
  }

  const TimelineInput& input_;
  const std::vector<Task>& tasks_;
  const TaskTimes& times_;
  std::vector<RankId> ranks_;
  std::vector<bool> shown_;  ///< by rank
  TraceEvents events_;
};

}  // namespace

std::vector<RankId> timeline_ranks(const StepTrace& trace) {
  const auto ranks = static_cast<std::size_t>(trace.ranks);
  std::vector<std::size_t> flows(ranks);
  for (const Task& task : trace.graph.tasks) {
    if (task.flow_path >= 0) {
      ++flows[static_cast<std::size_t>(task.label.rank)];
    }
  }
  for (std::size_t stride = 1;; stride *= 2) {
    std::vector<RankId> chosen = rank_sample(ranks, stride);
    std::size_t events = 0;
    for (const RankId rank : chosen) {
      events += flows[rank.index()];
    }
    if (chosen.size() == 1 || (chosen.size() <= kMostTracks && events <= kMostFlowEvents)) {
      return chosen;
    }
  }
}

void write_timeline(const TimelineInput& input, const std::function<void(std::string_view)>& sink) {
  TimelineWriter(input, sink).write();
}

}  // namespace moesim
