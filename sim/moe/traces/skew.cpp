// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/skew.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <string>

#include "sim/core/check.hpp"
#include "sim/moe/traces/expert_masks.hpp"

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

/// The quantities of TokenSkew, layer after layer.
class TokenSkews {
 public:
  explicit TokenSkews(const RoutePack& pack) : pack_(pack), domains_(pack.domains()) {
    hottest_.resize(domains_.size());
  }

  /// Adds a layer; returns its load over all sequences.
  Load add_layer(std::size_t layer) {
    const std::vector<ExpertIndex> ids = layer_ids(*pack_.topk, layer);
    std::vector<Load> by_domain(domains_.size(), Load(experts()));
    for (const TraceSequence& sequence : pack_.sequences) {
      const Load load = load_of(ids, sequence);
      add_to(by_domain[domain_index(sequence.domain)], load);
      if (sequence.rows >= kLeastRowsOfASequence) {
        one_sequence_.push_back(load_skew(load).max_over_mean);
      }
    }
    add_domains(by_domain);
    add_overlap(ids);
    Load sum(experts());
    for (const Load& load : by_domain) {
      add_to(sum, load);
    }
    add_independent(sum);
    return sum;
  }

  [[nodiscard]] TokenSkew result() const {
    std::optional<Spread> hottest;
    if (domains_.size() > 1) {
      hottest = spread_of(hottest_);
    }
    return {.one_sequence = spread_if_any(one_sequence_),
            .consecutive_overlap = spread_if_any(overlap_),
            .independent_overlap = spread_of(independent_),
            .domain_distance = spread_if_any(distance_),
            .hottest_layer_of_domain = hottest};
  }

 private:
  [[nodiscard]] std::size_t experts() const {
    return static_cast<std::size_t>(pack_.header.experts);
  }
  [[nodiscard]] std::size_t slots() const { return static_cast<std::size_t>(pack_.header.top_k); }
  [[nodiscard]] std::size_t domain_index(const std::string& domain) const {
    const auto found = std::lower_bound(domains_.begin(), domains_.end(), domain);
    return static_cast<std::size_t>(found - domains_.begin());
  }

  [[nodiscard]] Load load_of(const std::vector<ExpertIndex>& ids,
                             const TraceSequence& sequence) const {
    Load load(experts());
    const std::size_t begin = static_cast<std::size_t>(sequence.row_start) * slots();
    const std::size_t end = begin + static_cast<std::size_t>(sequence.rows) * slots();
    for (std::size_t i = begin; i < end; ++i) {
      ++load[ids[i]];
    }
    return load;
  }

  void add_domains(const std::vector<Load>& by_domain) {
    for (std::size_t a = 0; a < by_domain.size(); ++a) {
      hottest_[a] = std::max(hottest_[a], load_skew(by_domain[a]).max_over_mean);
      for (std::size_t b = 0; b < a; ++b) {
        distance_.push_back(total_variation(by_domain[a], by_domain[b]));
      }
    }
  }

  void add_overlap(const std::vector<ExpertIndex>& ids) {
    const ExpertMasks masks(ids, slots(), pack_.header.experts);
    std::int64_t shared = 0;
    std::int64_t pairs = 0;
    for (const TraceSequence& sequence : pack_.sequences) {
      const auto begin = static_cast<std::size_t>(sequence.row_start);
      const auto rows = static_cast<std::size_t>(sequence.rows);
      for (std::size_t row = begin; row + 1 < begin + rows; ++row) {
        shared += masks.shared(row, row + 1);
      }
      pairs += sequence.rows - 1;
    }
    if (pairs > 0) {
      overlap_.push_back(static_cast<double>(shared) /
                         (static_cast<double>(pairs) * static_cast<double>(slots())));
    }
  }

  void add_independent(const Load& load) {
    const auto sum = static_cast<double>(total(load));
    double squares = 0.0;
    for (const std::int64_t n : load) {
      const double share = static_cast<double>(n) / sum;
      squares += share * share;
    }
    independent_.push_back(squares * static_cast<double>(slots()));
  }

  const RoutePack& pack_;
  std::vector<std::string> domains_;
  std::vector<double> one_sequence_;
  std::vector<double> overlap_;
  std::vector<double> independent_;
  std::vector<double> distance_;
  std::vector<double> hottest_;
};

/// The quantities of StepSkew, layer after layer.
class StepSkews {
 public:
  explicit StepSkews(const RoutePack& pack) : pack_(pack) {}

  Load add_layer(std::size_t layer) {
    Load sum(static_cast<std::size_t>(pack_.header.experts));
    Load before;
    for (std::size_t step = 0; step < static_cast<std::size_t>(pack_.steps()); ++step) {
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

SkewReport measure_skew(const RoutePack& pack) {
  LayerSkews layers;
  TokenSkews tokens(pack);
  StepSkews steps(pack);
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(pack.header.layers); ++layer) {
    layers.add(pack.per_token() ? tokens.add_layer(layer) : steps.add_layer(layer));
  }
  SkewReport report = layers.report();
  if (pack.per_token()) {
    report.tokens = tokens.result();
  } else {
    report.steps = steps.result();
  }
  return report;
}

}  // namespace moesim::traces
