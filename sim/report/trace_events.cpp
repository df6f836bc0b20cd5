// SPDX-License-Identifier: Apache-2.0
#include "sim/report/trace_events.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <iterator>

namespace moesim {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 16U;

/// Picoseconds as microseconds, exactly.
std::string us(SimTime time) {
  return fmt::format("{}.{:06}", time.picoseconds / 1'000'000, time.picoseconds % 1'000'000);
}

}  // namespace

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

TraceEvents::TraceEvents(const Sink& sink, std::string_view unit, std::string_view about)
    : sink_(sink),
      text_(fmt::format(
          "{{\"displayTimeUnit\":\"{}\",\"otherData\":{{{}}},\"traceEvents\":[", unit, about)) {}

void TraceEvents::open_event() {
  text_ += is_first_ ? "\n" : ",\n";
  is_first_ = false;
}

void TraceEvents::close_event() {
  if (text_.size() > kPiece) {
    sink_(text_);
    text_.clear();
  }
}

void TraceEvents::name_process(std::size_t process, std::string_view name, int place) {
  open_event();
  fmt::format_to(
      std::back_inserter(text_),
      "{{\"ph\":\"M\",\"pid\":{0},\"name\":\"process_name\",\"args\":{{\"name\":{1}}}}},\n"
      "{{\"ph\":\"M\",\"pid\":{0},\"name\":\"process_sort_index\",\"args\":"
      "{{\"sort_index\":{2}}}}}",
      process,
      json_text(name),
      place);
  close_event();
}

void TraceEvents::name_thread(TrackId track, std::string_view name) {
  open_event();
  fmt::format_to(std::back_inserter(text_),
                 "{{\"ph\":\"M\",\"pid\":{},\"tid\":{},\"name\":\"thread_name\",\"args\":"
                 "{{\"name\":{}}}}}",
                 track.process,
                 track.thread,
                 json_text(name));
  close_event();
}

void TraceEvents::span(TrackId track,
                       SimTime start,
                       SimTime length,
                       std::string_view category,
                       std::string_view name,
                       std::string_view arguments) {
  open_event();
  fmt::format_to(std::back_inserter(text_),
                 "{{\"ph\":\"X\",\"pid\":{},\"tid\":{},\"ts\":{},\"dur\":{},\"cat\":\"{}\","
                 "\"name\":\"{}\",\"args\":{{{}}}}}",
                 track.process,
                 track.thread,
                 us(start),
                 us(length),
                 category,
                 name,
                 arguments);
  close_event();
}

void TraceEvents::begin(TrackId track,
                        std::string_view category,
                        std::uint64_t id,
                        SimTime at,
                        std::string_view name,
                        std::string_view arguments) {
  half('b', track, category, id, at, name, arguments);
}

void TraceEvents::end(
    TrackId track, std::string_view category, std::uint64_t id, SimTime at, std::string_view name) {
  half('e', track, category, id, at, name, {});
}

void TraceEvents::half(char phase,
                       TrackId track,
                       std::string_view category,
                       std::uint64_t id,
                       SimTime at,
                       std::string_view name,
                       std::string_view arguments) {
  open_event();
  fmt::format_to(std::back_inserter(text_),
                 "{{\"ph\":\"{}\",\"cat\":\"{}\",\"id\":{},\"pid\":{},\"tid\":{},\"ts\":{},"
                 "\"name\":\"{}\"",
                 phase,
                 category,
                 id,
                 track.process,
                 track.thread,
                 us(at),
                 name);
  if (!arguments.empty()) {
    fmt::format_to(std::back_inserter(text_), ",\"args\":{{{}}}", arguments);
  }
  text_ += '}';
  close_event();
}

void TraceEvents::counter(
    std::size_t process, SimTime at, std::string_view name, std::string_view unit, double value) {
  open_event();
  fmt::format_to(std::back_inserter(text_),
                 "{{\"ph\":\"C\",\"pid\":{},\"ts\":{},\"name\":{},\"args\":{{\"{}\":{}}}}}",
                 process,
                 us(at),
                 json_text(name),
                 unit,
                 value);
  close_event();
}

void TraceEvents::close() {
  text_ += "\n]}\n";
  sink_(text_);
  text_.clear();
}

}  // namespace moesim
