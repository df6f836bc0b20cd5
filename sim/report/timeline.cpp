// SPDX-License-Identifier: Apache-2.0
#include "sim/report/timeline.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>

#include "sim/report/timeline_counters.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, kNumTracks> kTrackNames = {
    "compute", "communication", "communication, second micro-batch"};

/// Threads count from 1.
int thread_of(Track track) {
  return static_cast<int>(track) + 1;
}

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Picoseconds as microseconds, exactly.
std::string us(SimTime time) {
  return fmt::format("{}.{:06}", time.picoseconds / 1'000'000, time.picoseconds % 1'000'000);
}

std::string_view name_of(const TaskLabel& label) {
  switch (label.kind) {
    case TaskKind::kDispatchFlow:
      return label.tensor_parallel ? "TP flow" : "dispatch flow";
    case TaskKind::kCombineFlow:
      return "combine flow";
    case TaskKind::kBackground:
      return "background flow";
    case TaskKind::kIssue:
      return "message issue";
    case TaskKind::kPipelineFill:
      return "pipeline fill";
    case TaskKind::kLaunch:
      return "kernel start";
    default:
      return "";
  }
}

class Writer {
 public:
  Writer(const TimelineInput& input, const std::function<void(std::string_view)>& sink)
      : input_(input),
        tasks_(input.trace.graph.tasks),
        times_(input.trace.times),
        ranks_(timeline_ranks(input.trace)),
        shown_(static_cast<std::size_t>(input.trace.ranks)),
        sink_(sink) {
    for (const RankId rank : ranks_) {
      shown_[rank.index()] = true;
    }
  }

  void write() {
    open();
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
    text_ += "\n]}\n";
    flush(0);
  }

 private:
  [[nodiscard]] const std::string& gpu_name(std::size_t rank) const {
    return input_.fabric.nodes[input_.fabric.gpus[rank]].name;
  }

  void flush(std::size_t above) {
    if (text_.size() > above) {
      sink_(text_);
      text_.clear();
    }
  }

  template <typename... Parts>
  void event(fmt::format_string<Parts...> format, Parts&&... parts) {
    text_ += first_ ? "\n" : ",\n";
    first_ = false;
    fmt::format_to(std::back_inserter(text_), format, std::forward<Parts>(parts)...);
    flush(std::size_t{1} << 16U);
  }

  void open() {
    text_ = fmt::format(
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{{\"scenario\":{},\"step\":{},\"ranks\":{},"
        "\"ranks_shown\":{}}},\"traceEvents\":[",
        json_text(input_.scenario),
        input_.step,
        shown_.size(),
        ranks_.size());
  }

  void name_tracks(RankId rank) {
    const int pid = rank.value;
    event("{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_name\",\"args\":{{\"name\":{}}}}}",
          pid,
          json_text(fmt::format("rank {} ({})", pid, gpu_name(rank.index()))));
    event(
        "{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_sort_index\",\"args\":{{\"sort_index\":{}}}}"
        "}",
        pid,
        pid);
    for (int track = 0; track < num_tracks(); ++track) {
      event(
          "{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"thread_name\",\"args\":{{\"name\":\"{}"
          "\"}}}}",
          pid,
          track + 1,
          kTrackNames[static_cast<std::size_t>(track)]);
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
    const SimTime length = times_.end[span.to.index()] - start;
    event(
        "{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{},\"dur\":{},\"cat\":\"moe\",\"name\":\"{}\","
        "\"args\":{{\"layer\":{}}}}}",
        span.rank,
        thread_of(span.track),
        us(start),
        us(length),
        span.name,
        span.layer);
  }

  /// Flows, message issue, pipeline fills and second kernels: they overlap, so each is a track.
  void add_async() {
    std::vector<bool> in_a_span(tasks_.size());
    for (const TrackSpan& span : input_.trace.spans) {
      in_a_span[span.from.index()] = in_a_span[span.from.index()] || span.from == span.to;
    }
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      const TaskLabel& label = tasks_[t].label;
      const std::string_view name = name_of(label);
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
    const auto half = [&](char phase, SimTime at, const std::string& arguments) {
      event(
          "{{\"ph\":\"{}\",\"cat\":\"{}\",\"id\":{},\"pid\":{},\"tid\":{},\"ts\":{},\"name\":\"{}"
          "\"{}}}",
          phase,
          is_flow ? "flow" : "kernel",
          t,
          task.label.rank,
          thread_of(Track::kCommunication),
          us(at),
          name,
          arguments);
    };
    half('b', times_.start[t], fmt::format(",\"args\":{{\"layer\":{}{}}}", task.label.layer, more));
    half('e', times_.end[t], "");
  }

  /// A value is written where it changes.
  void add_counters() {
    const Counters counters = timeline_counters(input_);
    const std::size_t pid = shown_.size();
    event("{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_name\",\"args\":{{\"name\":\"network\"}}}}",
          pid);
    event(
        "{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_sort_index\",\"args\":{{\"sort_index\":-1}}}"
        "}",
        pid);
    for (const Counter& counter : counters.counters) {
      double before = -1.0;
      for (std::size_t i = 0; i < counter.values.size(); ++i) {
        const double value = counter.values[i];
        if (value != before) {
          event("{{\"ph\":\"C\",\"pid\":{},\"ts\":{},\"name\":{},\"args\":{{\"{}\":{}}}}}",
                pid,
                us({counters.interval.picoseconds * static_cast<std::int64_t>(i)}),
                json_text(counter.name),
                counter.unit,
                value);
        }
        before = value;
      }
    }
  }

  const TimelineInput& input_;
  const std::vector<Task>& tasks_;
  const TaskTimes& times_;
  std::vector<RankId> ranks_;
  std::vector<bool> shown_;  ///< by rank
  const std::function<void(std::string_view)>& sink_;
  std::string text_;
  bool first_ = true;
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
    std::vector<RankId> chosen;
    std::size_t events = 0;
    for (std::size_t run = 0; run * stride < ranks; ++run) {
      const std::size_t rank = std::min(run * stride + run % stride, ranks - 1);
      chosen.push_back(id_at<RankId>(rank));
      events += flows[rank];
    }
    if (chosen.size() == 1 || (chosen.size() <= kMostTracks && events <= kMostFlowEvents)) {
      return chosen;
    }
  }
}

void write_timeline(const TimelineInput& input, const std::function<void(std::string_view)>& sink) {
  Writer(input, sink).write();
}

}  // namespace moesim
