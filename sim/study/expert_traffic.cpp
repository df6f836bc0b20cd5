// SPDX-License-Identifier: Apache-2.0
#include "sim/study/expert_traffic.hpp"

#include <numeric>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// A kept assignment before it is sorted into its (expert, source).
struct Loose {
  std::size_t cell = 0;
  KeptAssignment kept;
};

/// Reads the window twice: once for its tokens, so that the stride is known, once for all else.
class Summary {
 public:
  Summary(const RoutingSource& routing, TrafficWindow window, int layer)
      : routing_(routing), window_(window), layer_(layer) {}

  ExpertTraffic make() {
    for (int step = 0; step < window_.steps; ++step) {
      routings_.push_back(routing_.route(window_.first + step, layer_));
    }
    const Routing& first = routings_.front();
    traffic_.ranks = first.num_ranks();
    traffic_.experts = first.num_experts;
    traffic_.top_k = first.top_k;
    traffic_.steps = window_.steps;
    traffic_.stride = stride();
    traffic_.counts.resize(static_cast<std::size_t>(window_.steps) * cells());
    seen_of_source_.resize(static_cast<std::size_t>(traffic_.ranks));
    seen_of_cell_.resize(cells());
    for (std::size_t step = 0; step < routings_.size(); ++step) {
      add_step(routings_[step], step * cells());
    }
    sort_kept();
    return std::move(traffic_);
  }

 private:
  [[nodiscard]] std::size_t cells() const {
    return static_cast<std::size_t>(traffic_.experts) * static_cast<std::size_t>(traffic_.ranks);
  }

  [[nodiscard]] int stride() const {
    std::int64_t tokens = 0;
    for (const Routing& routing : routings_) {
      tokens += routing.num_tokens();
    }
    return static_cast<int>((tokens + window_.max_tokens - 1) / window_.max_tokens) > 0
               ? static_cast<int>((tokens + window_.max_tokens - 1) / window_.max_tokens)
               : 1;
  }

  void add_step(const Routing& routing, std::size_t first_count) {
    MOESIM_CHECK(routing.num_ranks() == traffic_.ranks, "every step has the same ranks");
    const auto ranks = static_cast<std::size_t>(traffic_.ranks);
    if (window_.in_order) {
      traffic_.order.insert(traffic_.order.end(), routing.experts.begin(), routing.experts.end());
    }
    for (std::size_t source = 0; source < ranks; ++source) {
      const std::int32_t end = routing.token_begin[source + 1];
      traffic_.tokens.push_back(end - routing.token_begin[source]);
      for (std::int32_t token = routing.token_begin[source]; token < end; ++token) {
        const bool keep = seen_of_source_[source]++ % traffic_.stride == 0;
        for (const ExpertIndex expert : routing.of_token(token)) {
          const std::size_t cell = expert * ranks + source;
          std::int32_t& count = traffic_.counts[first_count + cell];
          if (keep) {
            loose_.push_back({cell, {traffic_.kept_tokens, count, seen_of_cell_[cell]}});
          }
          ++count;
          ++seen_of_cell_[cell];
        }
        traffic_.kept_tokens += keep ? 1 : 0;
      }
    }
  }

  void sort_kept() {
    traffic_.kept_begin.assign(cells() + 1, 0);
    for (const Loose& loose : loose_) {
      ++traffic_.kept_begin[loose.cell + 1];
    }
    std::partial_sum(
        traffic_.kept_begin.begin(), traffic_.kept_begin.end(), traffic_.kept_begin.begin());
    std::vector<std::int32_t> next = traffic_.kept_begin;
    traffic_.kept.resize(loose_.size());
    for (const Loose& loose : loose_) {
      traffic_.kept[static_cast<std::size_t>(next[loose.cell]++)] = loose.kept;
    }
  }

  const RoutingSource& routing_;
  TrafficWindow window_;
  int layer_;
  std::vector<Routing> routings_;
  std::vector<std::int64_t> seen_of_source_;
  std::vector<std::int32_t> seen_of_cell_;
  std::vector<Loose> loose_;
  ExpertTraffic traffic_;
};

}  // namespace

ExpertTraffic summarise_traffic(const RoutingSource& routing, TrafficWindow window, int layer) {
  MOESIM_CHECK(window.first >= 0 && window.steps > 0 && window.max_tokens > 0,
               "a window has steps and tokens");
  return Summary(routing, window, layer).make();
}

std::vector<double> expert_loads(const ExpertTraffic& traffic) {
  std::vector<double> loads(static_cast<std::size_t>(traffic.experts));
  for (int step = 0; step < traffic.steps; ++step) {
    for (std::size_t e = 0; e < loads.size(); ++e) {
      for (const std::int32_t count : traffic.of(step, e)) {
        loads[e] += count;
      }
    }
  }
  return loads;
}

}  // namespace moesim
