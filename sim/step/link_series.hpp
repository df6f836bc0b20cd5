// SPDX-License-Identifier: Apache-2.0
// Bytes over links in equal intervals of a run, at the rates that the network really gave.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/core/sim_time.hpp"
#include "sim/network/flow_progress.hpp"
#include "sim/step/task_graph.hpp"

namespace moesim {

/// Sets of links whose bytes are added up; a link may be in none or in several.
struct LinkGroups {
  std::vector<std::vector<std::uint16_t>> of_link;  ///< by LinkId
  std::size_t count = 0;
};

struct LinkSeries {
  SimTime interval;                        ///< > 0
  std::vector<std::vector<double>> bytes;  ///< by group, then interval; empty: the engine has none

  [[nodiscard]] bool is_known() const { return !bytes.empty(); }
};

/// Takes down what flows have sent at the end of every interval of a run.
///
///   bytes(group, interval) = sum over flows f and links of f in the group of
///                            (what f has left at its beginning) - (at its end)
///
/// so that sums over intervals are the bytes of the links exactly, and no interval holds more than
/// its links carry. Checked by: timeline_test.
class LinkWatch {
 public:
  /// @param interval > 0
  LinkWatch(const TaskGraph& graph, const LinkGroups& groups, SimTime interval)
      : graph_(graph), groups_(groups), series_{.interval = interval, .bytes = {}} {}

  [[nodiscard]] SimTime next() const { return next_; }
  /// At next(), and once at the end of the run.
  /// @param task_of_flow  of every flow started so far
  void look(const Network& network, std::span<const TaskId> task_of_flow);
  [[nodiscard]] const LinkSeries& series() const { return series_; }

 private:
  void add(std::size_t flow, double sent, std::span<const TaskId> task_of_flow);

  const TaskGraph& graph_;
  const LinkGroups& groups_;
  LinkSeries series_;
  SimTime next_ = series_.interval;
  std::vector<double> left_;         ///< by flow
  std::vector<double> before_;       ///< by flow
  std::vector<std::uint32_t> live_;  ///< flows with bytes left at the last look
  std::size_t seen_ = 0;             ///< flows started before it
};

/// execute() with a look at every interval; the times are the same.
[[nodiscard]] TaskTimes execute(const TaskGraph& graph, Network& network, LinkWatch& watch);

}  // namespace moesim
