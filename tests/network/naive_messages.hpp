// SPDX-License-Identifier: Apache-2.0
// Queues of chunks written down as the rules say, over standard containers. Shares no code with the
// message engine.
#pragma once

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "tests/network/random_systems.hpp"

namespace moesim::testing {

class NaiveMessages {
 public:
  NaiveMessages(const RandomSystem& system, double chunk)
      : system_(system), lines_(system.capacity.size()), finish_(system.flows.size()) {
    for (const RandomFlow& flow : system.flows) {
      std::vector<double> sizes;
      double left = flow.batch.bytes.value;
      for (; left > chunk; left -= chunk) {
        sizes.push_back(chunk);
      }
      sizes.push_back(left);
      chunks_.push_back(sizes);
    }
  }

  /// When each flow's last chunk arrives.
  std::vector<SimTime> run() {
    SimTime now;
    while (now != SimTime::never()) {
      for (std::size_t l = 0; l < lines_.size(); ++l) {
        if (!lines_[l].empty() && lines_[l].front().leaves == now) {
          leave(l, now);
        }
      }
      for (std::size_t f = 0; f < finish_.size(); ++f) {
        if (system_.flows[f].batch.start == now) {
          join({.flow = f}, now);
        }
      }
      now = next(now);
    }
    return finish_;
  }

 private:
  struct Chunk {
    std::size_t flow = 0;
    std::size_t number = 0;
    std::size_t hop = 0;
    SimTime leaves{};  ///< once it is served
  };

  [[nodiscard]] std::size_t link(const Chunk& chunk) const {
    return system_.flows[chunk.flow].batch.links[chunk.hop].index();
  }

  void join(const Chunk& chunk, SimTime now) {
    auto& line = lines_[link(chunk)];
    line.push_back(chunk);
    if (line.size() == 1) {
      serve(line.front(), now);
    }
  }

  void serve(Chunk& chunk, SimTime now) const {
    const double rate =
        std::min(system_.capacity[link(chunk)].value, system_.flows[chunk.flow].rate_cap.value);
    chunk.leaves = after(now, {chunks_[chunk.flow][chunk.number] / rate});
  }

  void leave(std::size_t l, SimTime now) {
    const Chunk chunk = lines_[l].front();
    lines_[l].pop_front();
    if (!lines_[l].empty()) {
      serve(lines_[l].front(), now);
    }
    const BatchFlow& flow = system_.flows[chunk.flow].batch;
    if (chunk.hop + 1 < flow.links.size()) {
      join({.flow = chunk.flow, .number = chunk.number, .hop = chunk.hop + 1}, now);
    } else {
      finish_[chunk.flow] = std::max(finish_[chunk.flow], after(now, flow.latency));
    }
    if (chunk.hop == 0 && chunk.number + 1 < chunks_[chunk.flow].size()) {
      join({.flow = chunk.flow, .number = chunk.number + 1}, now);
    }
  }

  [[nodiscard]] SimTime next(SimTime now) const {
    SimTime next = SimTime::never();
    for (const auto& line : lines_) {
      if (!line.empty()) {
        next = std::min(next, line.front().leaves);
      }
    }
    for (const RandomFlow& flow : system_.flows) {
      if (flow.batch.start > now) {
        next = std::min(next, flow.batch.start);
      }
    }
    return next;
  }

  const RandomSystem& system_;
  std::vector<std::vector<double>> chunks_;  ///< bytes, by flow
  std::vector<std::deque<Chunk>> lines_;     ///< by link; the first is being served
  std::vector<SimTime> finish_;
};

}  // namespace moesim::testing
