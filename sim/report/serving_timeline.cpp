// SPDX-License-Identifier: Apache-2.0
#include "sim/report/serving_timeline.hpp"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

namespace moesim {
namespace {

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Picoseconds as microseconds, exactly.
std::string us(SimTime time) {
  return fmt::format("{}.{:06}", time.picoseconds / 1'000'000, time.picoseconds % 1'000'000);
}

class Writer {
 public:
  Writer(const ServingReport& report, const std::function<void(std::string_view)>& sink)
      : report_(report), sink_(sink) {
    for (std::size_t i = 0; i < report.run.requests.size(); ++i) {
      if (report.run.requests[i].done) {
        done_.push_back(i);
      }
    }
    stride_ = (done_.size() + kMostTimelineRequests - 1) / kMostTimelineRequests;
    stride_ = std::max<std::size_t>(1, stride_);
  }

  void write() {
    text_ = fmt::format(
        "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"scenario\":{},\"requests\":{},"
        "\"requests_shown\":{}}},\"traceEvents\":[",
        json_text(report_.scenario),
        done_.size(),
        (done_.size() + stride_ - 1) / stride_);
    for (int group = 0; group < report_.spec.groups; ++group) {
      name_process(group, fmt::format("EP group {}", group));
    }
    name_process(report_.spec.groups, "system");
    for (std::size_t i = 0; i < done_.size(); i += stride_) {
      add_request(done_[i]);
    }
    add_counters();
    text_ += "\n]}\n";
    sink_(text_);
  }

 private:
  template <typename... Parts>
  void event(fmt::format_string<Parts...> format, Parts&&... parts) {
    constexpr std::size_t kPiece = std::size_t{1} << 16U;
    text_ += first_ ? "\n" : ",\n";
    first_ = false;
    fmt::format_to(std::back_inserter(text_), format, std::forward<Parts>(parts)...);
    if (text_.size() > kPiece) {
      sink_(text_);
      text_.clear();
    }
  }

  void name_process(int pid, const std::string& name) {
    event("{{\"ph\":\"M\",\"pid\":{},\"name\":\"process_name\",\"args\":{{\"name\":{}}}}}",
          pid,
          json_text(name));
  }

  void add_request(std::size_t index) {
    const ServedRequest& r = report_.run.requests[index];
    const auto half = [&](char phase, std::string_view name, SimTime at, std::string_view more) {
      event(
          "{{\"ph\":\"{}\",\"cat\":\"request\",\"id\":{},\"pid\":{},\"tid\":1,\"ts\":{},\"name\":"
          "\"{}"
          "\"{}}}",
          phase,
          index,
          r.ep_group,
          us(at),
          name,
          more);
    };
    const auto part = [&](std::string_view name, SimTime from, SimTime to) {
      if (to > from) {
        half('b', name, from, "");
        half('e', name, to, "");
      }
    };
    half('b',
         "request",
         r.arrival,
         fmt::format(",\"args\":{{\"request\":{},\"prompt_tokens\":{},\"output_tokens\":{},"
                     "\"attention_group\":{},\"preemptions\":{}}}",
                     index,
                     r.request.prompt_tokens,
                     r.request.output_tokens,
                     r.attention_group,
                     r.preemptions));
    part("queue", r.arrival, r.first_scheduled);
    part("prefill", r.first_scheduled, r.first_token);
    part("decode", r.first_token, r.finished);
    half('e', "request", r.finished, "");
  }

  void add_counter(std::string_view name, std::string_view unit, SimTime at, double value) {
    event("{{\"ph\":\"C\",\"pid\":{},\"ts\":{},\"name\":\"{}\",\"args\":{{\"{}\":{}}}}}",
          report_.spec.groups,
          us(at),
          name,
          unit,
          value);
  }

  void add_counters() {
    for (const SeriesRow& row : series_rows(report_)) {
      const SimTime at = ticks(Seconds{row.start_s});
      const double over = row.seconds > 0 ? row.seconds : 1;
      add_counter("requests that wait", "requests", at, row.waiting);
      add_counter("requests that run", "requests", at, row.running);
      add_counter("KV cache", "percent", at, 100 * row.kv_ratio);
      add_counter("busy", "percent", at, 100 * row.busy_ratio);
      add_counter("prompt tokens", "tokens/s", at, static_cast<double>(row.prefill_tokens) / over);
      add_counter("output tokens", "tokens/s", at, static_cast<double>(row.output_tokens) / over);
    }
  }

  const ServingReport& report_;
  const std::function<void(std::string_view)>& sink_;
  std::vector<std::size_t> done_;
  std::size_t stride_ = 1;
  std::string text_;
  bool first_ = true;
};

}  // namespace

void write_serving_timeline(const ServingReport& report,
                            const std::function<void(std::string_view)>& sink) {
  Writer(report, sink).write();
}

}  // namespace moesim
