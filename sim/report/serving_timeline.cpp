// SPDX-License-Identifier: Apache-2.0
#include "sim/report/serving_timeline.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "sim/report/trace_events.hpp"

namespace moesim {
namespace {

class ServingTimelineWriter {
 public:
  ServingTimelineWriter(const ServingReport& report,
                        const std::function<void(std::string_view)>& sink)
      : report_(report) {
    for (std::size_t i = 0; i < report.run.requests.size(); ++i) {
      if (report.run.requests[i].done) {
        done_.push_back(i);
      }
    }
    stride_ = (done_.size() + kMostTimelineRequests - 1) / kMostTimelineRequests;
    stride_ = std::max<std::size_t>(1, stride_);
    events_.emplace(sink,
                    "ms",
                    fmt::format("\"scenario\":{},\"requests\":{},\"requests_shown\":{}",
                                json_text(report_.scenario),
                                done_.size(),
                                (done_.size() + stride_ - 1) / stride_));
  }

  void write() {
    for (int group = 0; group < report_.spec.groups; ++group) {
      events_->name_process(
          static_cast<std::size_t>(group), fmt::format("EP group {}", group), group);
    }
    events_->name_process(system(), "system", -1);
    for (std::size_t i = 0; i < done_.size(); i += stride_) {
      add_request(done_[i]);
    }
    add_counters();
    events_->close();
  }

 private:
  /// The process of the counters.
  [[nodiscard]] std::size_t system() const { return static_cast<std::size_t>(report_.spec.groups); }

  void add_request(std::size_t index) {
    const ServedRequest& r = report_.run.requests[index];
    const TrackId track{static_cast<std::size_t>(r.ep_group)};
    const auto part = [&](std::string_view name, SimTime from, SimTime to) {
      if (to > from) {
        events_->begin(track, "request", index, from, name);
        events_->end(track, "request", index, to, name);
      }
    };
    events_->begin(track,
                   "request",
                   index,
                   r.arrival,
                   "request",
                   fmt::format("\"request\":{},\"prompt_tokens\":{},\"output_tokens\":{},"
                               "\"attention_group\":{},\"preemptions\":{}",
                               index,
                               r.request.prompt_tokens,
                               r.request.output_tokens,
                               r.attention_group,
                               r.preemptions));
    part("queue", r.arrival, r.first_scheduled);
    part("prefill", r.first_scheduled, r.first_token);
    part("decode", r.first_token, r.finished);
    events_->end(track, "request", index, r.finished, "request");
  }

  void add_counters() {
    for (const SeriesRow& row : series_rows(report_)) {
      const SimTime at = ticks(Seconds{row.start_s});
      const double over = row.seconds > 0 ? row.seconds : 1;
      const auto add_counter = [&](std::string_view name, std::string_view unit, auto value) {
        events_->counter(system(), at, name, unit, static_cast<double>(value));
      };
      add_counter("requests that wait", "requests", row.waiting);
      add_counter("requests that run", "requests", row.running);
      add_counter("KV cache", "percent", 100 * row.kv_ratio);
      add_counter("busy", "percent", 100 * row.busy_ratio);
      add_counter("prompt tokens", "tokens/s", static_cast<double>(row.prefill_tokens) / over);
      add_counter("output tokens", "tokens/s", static_cast<double>(row.output_tokens) / over);
    }
  }

  const ServingReport& report_;
  std::vector<std::size_t> done_;
  std::size_t stride_ = 1;
  std::optional<TraceEvents> events_;
};

}  // namespace

void write_serving_timeline(const ServingReport& report,
                            const std::function<void(std::string_view)>& sink) {
  ServingTimelineWriter(report, sink).write();
}

}  // namespace moesim
