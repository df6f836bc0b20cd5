// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/skew.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/pace_counter.hpp"

namespace moesim::traces {
namespace {

using Load = std::vector<std::int64_t>;

void add_to(Load& sum, const Load& load) {
  for (std::size_t e = 0; e < sum.size(); ++e) {
    sum[e] += load[e];
  }
}

std::int64_t total(const Load& load) {
  return std::accumulate(load.begin(), load.end(), std::int64_t{0});
}

std::optional<Spread> spread_if_any(const std::vector<double>& values) {
  return values.empty() ? std::nullopt : std::optional(spread_of(values));
}

/// LoadSkew of layer after layer, gathered into spreads.
class LayerSkews {
 public:
  void add(const Load& load) {
    const LoadSkew skew = load_skew(load);
    max_over_mean_.push_back(skew.max_over_mean);
    variation_.push_back(skew.variation);
    std_ln_.push_back(skew.std_ln);
    top_share_.push_back(skew.top_share);
    cold_.push_back(skew.cold);
  }
  [[nodiscard]] SkewReport report() const {
    return {.max_over_mean = spread_of(max_over_mean_),
            .variation = spread_of(variation_),
            .std_ln = spread_of(std_ln_),
            .top_share = spread_of(top_share_),
            .cold = spread_of(cold_),
            .tokens = {},
            .steps = {}};
  }

 private:
  std::vector<double> max_over_mean_;
  std::vector<double> variation_;
  std::vector<double> std_ln_;
  std::vector<double> top_share_;
  std::vector<double> cold_;
};

/// The quantities of TokenSkew, in one pass over the ids: sequence after sequence.
class TokenSkews {
 public:
  TokenSkews(const RoutePack& pack, const Pace& pace)
      : pack_(pack),
        domains_(pack.domains()),
        by_domain_(domains_.size(), std::vector<Load>(layers(), Load(experts()))),
        shared_(layers()) {
    PaceCounter tokens(pace, "measuring skew", pack.topk->size(0));
    visit_integer_type(pack.topk->type(), [&](auto zero) {
      for (const TraceSequence& sequence : pack.sequences) {
        add_sequence<decltype(zero)>(sequence, tokens);
        pairs_ += sequence.rows - 1;
      }
    });
  }

  /// The layer's load over all sequences.
  [[nodiscard]] Load load(std::size_t layer) const {
    Load sum(experts());
    for (const std::vector<Load>& domain : by_domain_) {
      add_to(sum, domain[layer]);
    }
    return sum;
  }

  [[nodiscard]] TokenSkew result() const {
    std::vector<double> independent;
    std::vector<double> overlap;
    for (std::size_t layer = 0; layer < layers(); ++layer) {
      independent.push_back(independent_overlap(load(layer)));
      if (pairs_ > 0) {
        overlap.push_back(static_cast<double>(shared_[layer]) /
                          (static_cast<double>(pairs_) * slots()));
      }
    }
    return {.one_sequence = spread_if_any(one_sequence_),
            .consecutive_overlap = spread_if_any(overlap),
            .independent_overlap = spread_of(independent),
            .domain_distance = domain_distance(),
            .hottest_layer_of_domain = hottest_layers()};
  }

 private:
  [[nodiscard]] std::size_t experts() const {
    return static_cast<std::size_t>(pack_.header.experts);
  }
  [[nodiscard]] std::size_t layers() const { return pack_.topk->size(1); }
  [[nodiscard]] double slots() const { return pack_.header.top_k; }
  [[nodiscard]] std::size_t domain_index(const std::string& domain) const {
    const auto found = std::lower_bound(domains_.begin(), domains_.end(), domain);
    return static_cast<std::size_t>(found - domains_.begin());
  }

  template <typename T>
  void add_sequence(const TraceSequence& sequence, PaceCounter& tokens) {
    const std::size_t slots = pack_.topk->size(2);
    const std::byte* const ids = pack_.topk->data().data();
    std::vector<Load> load(layers(), Load(experts()));
    std::vector<std::vector<std::int64_t>> last_row(layers(),
                                                    std::vector<std::int64_t>(experts(), -2));
    for (std::int64_t row = sequence.row_start; row < sequence.row_start + sequence.rows; ++row) {
      tokens.add();
      std::size_t at = static_cast<std::size_t>(row) * layers() * slots;
      for (std::size_t layer = 0; layer < layers(); ++layer) {
        for (std::size_t slot = 0; slot < slots; ++slot, ++at) {
          const auto expert = static_cast<std::size_t>(to_int64(number_at<T>(ids, at)));
          ++load[layer][expert];
          shared_[layer] += std::exchange(last_row[layer][expert], row) == row - 1 ? 1 : 0;
        }
      }
    }
    std::vector<Load>& domain = by_domain_[domain_index(sequence.domain)];
    for (std::size_t layer = 0; layer < layers(); ++layer) {
      add_to(domain[layer], load[layer]);
      if (sequence.rows >= kLeastRowsOfASequence) {
        one_sequence_.push_back(load_skew(load[layer]).max_over_mean);
      }
    }
  }

  [[nodiscard]] double independent_overlap(const Load& load) const {
    const auto sum = static_cast<double>(total(load));
    double squares = 0.0;
    for (const std::int64_t n : load) {
      const double share = static_cast<double>(n) / sum;
      squares += share * share;
    }
    return squares * slots();
  }

  [[nodiscard]] std::optional<Spread> domain_distance() const {
    std::vector<double> distance;
    for (std::size_t a = 0; a < domains_.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        for (std::size_t layer = 0; layer < layers(); ++layer) {
          distance.push_back(total_variation(by_domain_[a][layer], by_domain_[b][layer]));
        }
      }
    }
    return spread_if_any(distance);
  }

  [[nodiscard]] std::optional<Spread> hottest_layers() const {
    std::vector<double> hottest;
    for (const std::vector<Load>& domain : by_domain_) {
      double most = 0.0;
      for (const Load& load : domain) {
        most = std::max(most, load_skew(load).max_over_mean);
      }
      hottest.push_back(most);
    }
    return hottest.size() > 1 ? spread_if_any(hottest) : std::nullopt;
  }

  const RoutePack& pack_;
  std::vector<std::string> domains_;
  std::vector<std::vector<Load>> by_domain_;  ///< [domain][layer][expert]
  std::vector<std::int64_t> shared_;          ///< by layer, of a token and the one before it
  std::int64_t pairs_ = 0;
  std::vector<double> one_sequence_;
};

/// The quantities of StepSkew, layer after layer.
class StepSkews {
 public:
  explicit StepSkews(const RoutePack& pack) : pack_(pack) {}

  Load add_layer(std::size_t layer, PaceCounter& counted) {
    Load sum(static_cast<std::size_t>(pack_.header.experts));
    Load before;
    for (std::size_t step = 0; step < static_cast<std::size_t>(pack_.steps()); ++step) {
      counted.add();
      Load load = step_counts(pack_, step, layer);
      max_over_mean_.push_back(load_skew(load).max_over_mean);
      if (!before.empty()) {
        step_distance_.push_back(total_variation(before, load));
      }
      add_ranks(step, layer, load);
      add_to(sum, load);
      before = std::move(load);
    }
    return sum;
  }

  [[nodiscard]] StepSkew result() const {
    return {.max_over_mean = spread_of(max_over_mean_),
            .step_distance = spread_if_any(step_distance_),
            .rank_distance = spread_if_any(rank_distance_)};
  }

 private:
  void add_ranks(std::size_t step, std::size_t layer, const Load& load) {
    const auto ranks = static_cast<std::size_t>(pack_.source_ranks());
    for (std::size_t rank = 0; ranks > 1 && rank < ranks; ++rank) {
      rank_distance_.push_back(total_variation(rank_counts(pack_, step, rank, layer), load));
    }
  }

  const RoutePack& pack_;
  std::vector<double> max_over_mean_;
  std::vector<double> step_distance_;
  std::vector<double> rank_distance_;
};

}  // namespace

SkewReport measure_skew(const RoutePack& pack, const Pace& pace) {
  LayerSkews layers;
  std::optional<TokenSkews> tokens;
  if (pack.per_token()) {
    tokens.emplace(pack, pace);
  }
  StepSkews steps(pack);
  const auto layers_of_steps = static_cast<std::size_t>(pack.steps() * pack.header.layers);
  PaceCounter counted(pace, "measuring skew", layers_of_steps, 64);
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(pack.header.layers); ++layer) {
    layers.add(tokens ? tokens->load(layer) : steps.add_layer(layer, counted));
  }
  SkewReport report = layers.report();
  if (tokens) {
    report.tokens = tokens->result();
  } else {
    report.steps = steps.result();
  }
  return report;
}

}  // namespace moesim::traces
