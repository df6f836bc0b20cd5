// SPDX-License-Identifier: Apache-2.0
// What the system is like over time, in bins of equal length.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/core/sim_time.hpp"

namespace moesim {

/// The state between two events.
struct ServingState {
  std::int64_t waiting = 0;    ///< requests in queues
  std::int64_t running = 0;    ///< requests that hold cache
  std::int64_t moving = 0;     ///< of them, those whose cache is on its way
  std::int64_t kv_tokens = 0;  ///< cached or set aside
  int busy_groups = 0;         ///< EP groups in a step
};

/// One bin: time integrals (value * seconds) and counts.
struct SeriesBin {
  double waiting_s = 0;
  double running_s = 0;
  double kv_token_s = 0;
  double busy_s = 0;  ///< of all EP groups
  std::int64_t arrivals = 0;
  std::int64_t finished = 0;
  std::int64_t prefill_tokens = 0;
  std::int64_t output_tokens = 0;
  std::int64_t steps = 0;
};

class ServingSeries {
 public:
  explicit ServingSeries(SimTime interval) : interval_(interval) {}

  /// The state held until `now`, which is not before the last call's.
  void hold(const ServingState& state, SimTime now);
  /// The bin of the instant, for counts.
  [[nodiscard]] SeriesBin& at(SimTime now);
  [[nodiscard]] const std::vector<SeriesBin>& bins() const { return bins_; }

 private:
  SimTime interval_;
  SimTime now_;
  std::vector<SeriesBin> bins_;
};

}  // namespace moesim
