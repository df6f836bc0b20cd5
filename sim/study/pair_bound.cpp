// SPDX-License-Identifier: Apache-2.0
#include "sim/study/pair_bound.hpp"

#include <Eigen/Dense>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>

namespace moesim {
namespace {

std::span<const double> row_of(const PairCounts& counts, std::size_t expert) {
  return std::span(counts.pairs).subspan(expert * counts.experts, counts.experts);
}

std::vector<double> row_sums(const PairCounts& counts) {
  std::vector<double> sums;
  for (std::size_t e = 0; e < counts.experts; ++e) {
    const auto row = row_of(counts, e);
    sums.push_back(std::accumulate(row.begin(), row.end(), 0.0));
  }
  return sums;
}

/// Twice the pairs of one slot an expert, with this diagonal added and taken off again.
double spectral_bound(const PairCounts& counts,
                      const GroupSizes& sizes,
                      const std::vector<double>& diagonal) {
  const auto n = static_cast<Eigen::Index>(counts.experts);
  Eigen::MatrixXd matrix(n, n);
  for (Eigen::Index a = 0; a < n; ++a) {
    for (Eigen::Index b = 0; b < n; ++b) {
      matrix(a, b) = counts.pairs[static_cast<std::size_t>(a * n + b)];
    }
    matrix(a, a) += diagonal[static_cast<std::size_t>(a)];
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix, Eigen::EigenvaluesOnly);
  double sum = 0.0;
  for (Eigen::Index i = 0; i < std::min(n, static_cast<Eigen::Index>(sizes.groups)); ++i) {
    sum += std::max(solver.eigenvalues()[n - 1 - i], 0.0);
  }
  return static_cast<double>(sizes.slots) * sum -
         std::accumulate(diagonal.begin(), diagonal.end(), 0.0);
}

/// What spare slots add.
double spare_pairs(const PairCounts& counts,
                   const GroupSizes& sizes,
                   const std::vector<double>& sums) {
  std::vector<double> gains;
  for (std::size_t e = 0; e < counts.experts; ++e) {
    const auto row = row_of(counts, e);
    std::vector<double> largest(row.begin(), row.end());
    std::sort(largest.begin(), largest.end(), std::greater<>());
    const std::size_t others = std::min(sizes.slots - 1, largest.size());
    const double of_slot = std::accumulate(
        largest.begin(), largest.begin() + static_cast<std::ptrdiff_t>(others), 0.0);
    double left = sums[e];
    for (std::size_t copy = 1; copy < sizes.groups && left > 0.0; ++copy) {
      gains.push_back(std::min(of_slot, left));
      left -= gains.back();
    }
  }
  std::sort(gains.begin(), gains.end(), std::greater<>());
  gains.resize(std::min(gains.size(), sizes.spare));
  return std::accumulate(gains.begin(), gains.end(), 0.0);
}

}  // namespace

PairCounts count_pairs(const RoutingSource& routing, TrafficWindow window, int layer) {
  PairCounts counts;
  for (int step = 0; step < window.steps; ++step) {
    const Routing routed = routing.route(window.first + step, layer);
    counts.experts = static_cast<std::size_t>(routed.num_experts);
    counts.pairs.resize(counts.experts * counts.experts);
    for (std::int32_t token = 0; token < routed.num_tokens(); ++token) {
      const auto chosen = routed.of_token(token);
      for (std::size_t i = 0; i < chosen.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          counts.pairs[chosen[i] * counts.experts + chosen[j]] += 1.0;
          counts.pairs[chosen[j] * counts.experts + chosen[i]] += 1.0;
        }
      }
    }
  }
  return counts;
}

double most_pairs_together(const PairCounts& counts, const GroupSizes& sizes) {
  const std::vector<double> sums = row_sums(counts);
  const double all = std::accumulate(sums.begin(), sums.end(), 0.0);
  const double mean = all / static_cast<double>(counts.experts);
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

}  // namespace moesim
