// SPDX-License-Identifier: Apache-2.0
#include "sim/study/pair_bound.hpp"

#include <Eigen/Dense>

#include <algorithm>
#include <functional>
#include <numeric>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

std::span<const double> row_of(const PairCounts& counts, std::size_t vertex) {
  return std::span(counts.pairs).subspan(vertex * counts.vertices(), counts.vertices());
}

std::vector<double> row_sums(const PairCounts& counts) {
  std::vector<double> sums;
  for (std::size_t v = 0; v < counts.vertices(); ++v) {
    const auto row = row_of(counts, v);
    sums.push_back(std::accumulate(row.begin(), row.end(), 0.0));
  }
  return sums;
}

/// Twice the pairs of one slot an expert, with this diagonal added and taken off again.
double spectral_bound(const PairCounts& counts,
                      const GroupSizes& sizes,
                      const std::vector<double>& diagonal) {
  const auto n = static_cast<Eigen::Index>(counts.vertices());
  Eigen::MatrixXd matrix(n, n);
  for (Eigen::Index a = 0; a < n; ++a) {
    for (Eigen::Index b = 0; b < n; ++b) {
      matrix(a, b) = counts.pairs[static_cast<std::size_t>(a * n + b)];
    }
    matrix(a, a) += diagonal[static_cast<std::size_t>(a)];
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix, Eigen::EigenvaluesOnly);
  double sum = 0.0;
  for (Eigen::Index i = 0; i < std::min(n, static_cast<Eigen::Index>(counts.groups)); ++i) {
    sum += std::max(solver.eigenvalues()[n - 1 - i], 0.0);
  }
  return static_cast<double>(sizes.slots + 1) * sum -
         std::accumulate(diagonal.begin(), diagonal.end(), 0.0);
}

/// What spare slots add.
double spare_pairs(const PairCounts& counts,
                   const GroupSizes& sizes,
                   const std::vector<double>& sums) {
  std::vector<double> gains;
  for (std::size_t e = 0; e < counts.experts; ++e) {  // groups have no replicas
    const auto row = row_of(counts, e);
    std::vector<double> largest(row.begin(), row.end());
    std::sort(largest.begin(), largest.end(), std::greater<>());
    const std::size_t others = std::min(sizes.slots, largest.size());
    const double of_slot = std::accumulate(
        largest.begin(), largest.begin() + static_cast<std::ptrdiff_t>(others), 0.0);
    double left = sums[e];
    for (std::size_t copy = 1; copy < counts.groups && left > 0.0; ++copy) {
      gains.push_back(std::min(of_slot, left));
      left -= gains.back();
    }
  }
  std::sort(gains.begin(), gains.end(), std::greater<>());
  gains.resize(std::min(gains.size(), sizes.spare));
  return std::accumulate(gains.begin(), gains.end(), 0.0);
}

}  // namespace

PairCounts count_pairs(const RoutingSource& routing,
                       TrafficWindow window,
                       int layer,
                       std::span<const std::size_t> group_of_rank) {
  PairCounts counts;
  counts.experts = static_cast<std::size_t>(routing.info().num_experts);
  counts.groups = 1 + *std::max_element(group_of_rank.begin(), group_of_rank.end());
  counts.pairs.resize(counts.vertices() * counts.vertices());
  const auto add = [&](std::size_t a, std::size_t b) {
    counts.pairs[a * counts.vertices() + b] += 1.0;
    counts.pairs[b * counts.vertices() + a] += 1.0;
  };
  for (int step = 0; step < window.steps; ++step) {
    const Routing routed = routing.route(window.first + step, layer);
    counts.tokens += routed.num_tokens();
    for (std::size_t source = 0; source < group_of_rank.size(); ++source) {
      for (std::int32_t t = routed.token_begin[source]; t < routed.token_begin[source + 1]; ++t) {
        const auto chosen = routed.of_token(t);
        for (std::size_t i = 0; i < chosen.size(); ++i) {
          add(chosen[i], counts.experts + group_of_rank[source]);
          for (std::size_t j = 0; j < i; ++j) {
            add(chosen[i], chosen[j]);
          }
        }
      }
    }
  }
  return counts;
}

double most_pairs_together(const PairCounts& counts, const GroupSizes& sizes) {
  const std::vector<double> sums = row_sums(counts);
  const double all = std::accumulate(sums.begin(), sums.end(), 0.0);
  const double mean = all / static_cast<double>(counts.vertices());
  double twice = all;  // every pair together
  for (const double part : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    std::vector<double> diagonal;
    for (const double sum : sums) {
      diagonal.push_back(-part * (sum - mean));
    }
    twice = std::min(twice, spectral_bound(counts, sizes, diagonal));
  }
  return std::min(twice / 2 + spare_pairs(counts, sizes, sums), all / 2);
}

double fewest_groups(std::size_t elements, std::size_t groups, double pairs) {
  const std::size_t most = std::min(elements, groups);
  std::vector<double> of_groups;  // pairs of an even split over 1, 2, ... groups, falling
  for (std::size_t m = 1; m <= most; ++m) {
    const std::size_t small = elements / m;
    const std::size_t larger = elements % m;
    of_groups.push_back(static_cast<double>(larger * (small + 1) * small / 2 +
                                            (m - larger) * small * (small - 1) / 2));
  }
  if (pairs >= of_groups.front()) {
    return 1.0;
  }
  double fewest = static_cast<double>(most);
  for (std::size_t i = 0; i < most; ++i) {
    for (std::size_t j = i + 1; j < most; ++j) {
      if (of_groups[j] <= pairs && pairs <= of_groups[i]) {  // between i + 1 and j + 1 groups
        const double part = (of_groups[i] - pairs) / (of_groups[i] - of_groups[j]);
        fewest = std::min(fewest, static_cast<double>(i + 1) + part * static_cast<double>(j - i));
      }
    }
  }
  return fewest;
}

double fewest_copies(const PairCounts& counts, const GroupSizes& sizes, int top_k) {
  if (counts.tokens <= 0.0) {
    return 0.0;
  }
  const double pairs = most_pairs_together(counts, sizes) / counts.tokens;
  return counts.tokens *
         (fewest_groups(static_cast<std::size_t>(top_k) + 1, counts.groups, pairs) - 1.0);
}

void add_pairs(PairCounts& counts, const PairCounts& more) {
  MOESIM_CHECK(counts.pairs.size() == more.pairs.size(), "as many experts and groups");
  counts.tokens += more.tokens;
  for (std::size_t i = 0; i < counts.pairs.size(); ++i) {
    counts.pairs[i] += more.pairs[i];
  }
}

std::vector<double> largest_pairs(const PairCounts& counts, std::size_t others) {
  std::vector<double> sums;
  for (std::size_t e = 0; e < counts.experts; ++e) {
    const auto row = row_of(counts, e).first(counts.experts);
    std::vector<double> largest(row.begin(), row.end());
    std::sort(largest.begin(), largest.end(), std::greater<>());
    const auto last = static_cast<std::ptrdiff_t>(std::min(others, largest.size()));
    sums.push_back(std::accumulate(largest.begin(), largest.begin() + last, 0.0));
  }
  return sums;
}

double most_shared(const PairCounts& counts, const GroupSizes& sizes) {
  const std::vector<double> of_slot = largest_pairs(counts, sizes.slots - 1);
  const double most = *std::max_element(of_slot.begin(), of_slot.end());
  return (std::accumulate(of_slot.begin(), of_slot.end(), 0.0) +
          static_cast<double>(sizes.spare) * most) /
         2;
}

}  // namespace moesim
