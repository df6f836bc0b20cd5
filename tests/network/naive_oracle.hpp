// SPDX-License-Identifier: Apache-2.0
// The slowest right way: all rates from scratch at every event, over plain vectors, in double time.
// Shares no code with the fluid engine.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "tests/network/random_systems.hpp"

namespace moesim::testing {

class NaiveOracle {
 public:
  explicit NaiveOracle(const RandomSystem& system) : system_(system) {
    for (const RandomFlow& flow : system.flows) {
      left_.push_back(flow.batch.bytes.value);
    }
  }

  /// Finish time of each flow in seconds.
  std::vector<double> run() {
    finish_.assign(left_.size(), 0.0);
    double now = 0.0;
    while (true) {
      const std::vector<double> rate = rates(now);
      double next = std::numeric_limits<double>::infinity();
      for (std::size_t f = 0; f < left_.size(); ++f) {
        if (rate[f] > 0.0) {
          next = std::min(next, now + left_[f] / rate[f]);
        } else if (start(f) > now) {
          next = std::min(next, start(f));
        }
      }
      if (next == std::numeric_limits<double>::infinity()) {
        return finish_;
      }
      for (std::size_t f = 0; f < left_.size(); ++f) {
        serve(f, rate[f], now, next);
      }
      now = next;
    }
  }

 private:
  [[nodiscard]] double start(std::size_t f) const {
    return system_.flows[f].batch.start.to_seconds().value;
  }

  void serve(std::size_t f, double rate, double now, double next) {
    if (rate == 0.0) {
      return;
    }
    left_[f] -= rate * (next - now);
    if (left_[f] <= rate * 1e-13) {  // a tenth of a picosecond
      left_[f] = 0.0;
      finish_[f] = next + system_.flows[f].batch.latency.value;
    }
  }

  /// Progressive filling: the tightest link or cap first. 0 for flows that are not live.
  [[nodiscard]] std::vector<double> rates(double now) const {
    std::vector<double> rate(left_.size(), 0.0);
    std::vector<bool> open(left_.size());
    for (std::size_t f = 0; f < left_.size(); ++f) {
      open[f] = left_[f] > 0.0 && start(f) <= now;
    }
    while (std::find(open.begin(), open.end(), true) != open.end()) {
      fix_tightest(rate, open);
    }
    return rate;
  }

  void fix_tightest(std::vector<double>& rate, std::vector<bool>& open) const {
    double least = std::numeric_limits<double>::infinity();
    std::vector<std::size_t> fixed;
    for (std::size_t l = 0; l < system_.capacity.size(); ++l) {
      double free = system_.capacity[l].value;
      std::vector<std::size_t> waiting;
      for (std::size_t f = 0; f < rate.size(); ++f) {
        if (crosses(f, l)) {
          free -= rate[f];
          if (open[f]) {
            waiting.push_back(f);
          }
        }
      }
      const double share = free / static_cast<double>(waiting.size());
      if (!waiting.empty() && share < least) {
        least = share;
        fixed = waiting;
      }
    }
    for (std::size_t f = 0; f < rate.size(); ++f) {
      if (open[f] && system_.flows[f].rate_cap.value < least) {
        least = system_.flows[f].rate_cap.value;
        fixed = {f};
      }
    }
    for (const std::size_t f : fixed) {
      rate[f] = least;
      open[f] = false;
    }
  }

  [[nodiscard]] bool crosses(std::size_t f, std::size_t l) const {
    const auto& links = system_.flows[f].batch.links;
    return std::find(links.begin(), links.end(), id_at<LinkId>(l)) != links.end();
  }

  const RandomSystem& system_;
  std::vector<double> left_;
  std::vector<double> finish_;
};

}  // namespace moesim::testing
