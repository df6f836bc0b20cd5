// SPDX-License-Identifier: Apache-2.0
// What links carried over the time of a traced run.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "sim/step/step_trace.hpp"
#include "topology/cluster.hpp"

namespace moesim {

/// Adds amounts to the equal intervals of a run, each spread evenly over [start, end) in seconds;
/// an amount without length goes to one interval, and what lies past the last one to the last.
class EvenSpread {
 public:
  /// @pre interval > 0, intervals > 0
  EvenSpread(SimTime interval, std::size_t intervals);
  /// @pre values has as many intervals
  void add(std::span<double> values, double start, double end, double amount) const;

 private:
  [[nodiscard]] std::size_t place(double at) const;

  double interval_;
  std::size_t last_;
};

/// Bytes over links and time of flows on them, in equal intervals.
struct LinkSums {
  SimTime interval;
  bool is_exact = false;  ///< at the rates that flows had; else spread evenly over their lives
  std::vector<std::vector<double>> kind_bytes;   ///< by LinkKind, then interval
  std::vector<std::vector<double>> kind_flow_s;  ///< flows times seconds, by LinkKind
  std::vector<std::vector<double>> link_bytes;   ///< by watched link of the trace
};

/// The sums of a trace; how exact they are: sim/report's timeline_counters.hpp.
/// @param kinds  by LinkId
[[nodiscard]] LinkSums link_sums(const StepTrace& trace, std::span<const LinkKind> kinds);

}  // namespace moesim
