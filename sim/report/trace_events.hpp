// SPDX-License-Identifier: Apache-2.0
// A document in Chrome's trace event format, which ui.perfetto.dev opens, written piece by piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "sim/core/sim_time.hpp"

namespace moesim {

/// A thread of a process; a process is a rank or what counters belong to.
struct TrackId {
  std::size_t process = 0;
  int thread = 1;
};

/// Text as a JSON string, quotes included; bytes that are no UTF-8 are replaced.
[[nodiscard]] std::string json_text(std::string_view text);

/// Times are in microseconds with six decimals: exact picoseconds. Names of events are plain words;
/// other text and `arguments` (the inside of an object) come as JSON.
class TraceEvents {
 public:
  using Sink = std::function<void(std::string_view)>;

  /// @param unit   what viewers show times in: "ns" or "ms"
  /// @param about  the inside of otherData
  TraceEvents(const Sink& sink, std::string_view unit, std::string_view about);

  void name_process(std::size_t process, std::string_view name, int place);
  void name_thread(TrackId track, std::string_view name);
  void span(TrackId track,
            SimTime start,
            SimTime length,
            std::string_view category,
            std::string_view name,
            std::string_view arguments);
  /// What overlaps others of its track: a begin and an end of the same category and id.
  void begin(TrackId track,
             std::string_view category,
             std::uint64_t id,
             SimTime at,
             std::string_view name,
             std::string_view arguments = {});
  void end(TrackId track,
           std::string_view category,
           std::uint64_t id,
           SimTime at,
           std::string_view name);
  void counter(
      std::size_t process, SimTime at, std::string_view name, std::string_view unit, double value);
  /// Ends the document.
  void close();

 private:
  void open_event();
  void close_event();
  void half(char phase,
            TrackId track,
            std::string_view category,
            std::uint64_t id,
            SimTime at,
            std::string_view name,
            std::string_view arguments);

  const Sink& sink_;
  std::string text_;
  bool is_first_ = true;
};

}  // namespace moesim
