// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/series.hpp"

#include <algorithm>

#include "sim/core/check.hpp"

namespace moesim {

SeriesBin& ServingSeries::at(SimTime now) {
  const auto bin = static_cast<std::size_t>(now.picoseconds / interval_.picoseconds);
  if (bin >= bins_.size()) {
    bins_.resize(bin + 1);
  }
  return bins_[bin];
}

void ServingSeries::hold(const ServingState& state, SimTime now) {
  MOESIM_CHECK(now >= now_, "time runs backwards");
  while (now_ < now) {
    SeriesBin& bin = at(now_);
    const SimTime end{(now_.picoseconds / interval_.picoseconds + 1) * interval_.picoseconds};
    const SimTime until = std::min(end, now);
    const double lasted = (until - now_).to_seconds().value;
    bin.waiting_s += static_cast<double>(state.waiting) * lasted;
    bin.running_s += static_cast<double>(state.running) * lasted;
    bin.kv_token_s += static_cast<double>(state.kv_tokens) * lasted;
    bin.busy_s += state.busy_groups * lasted;
    now_ = until;
  }
}

}  // namespace moesim
