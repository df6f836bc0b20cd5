// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/loads.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <numbers>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {
namespace {

/// splitmix64 (Steele, Lea, Flood 2014).
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) : state_(seed) {}

  /// In (0, 1].
  double uniform() {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    z ^= z >> 31U;
    return static_cast<double>((z >> 11U) + 1) * 0x1p-53;
  }

  double normal() {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::uint64_t state_;
};

/// "12,3,456" as three numbers.
std::optional<std::vector<std::int64_t>> three_numbers(std::string_view line) {
  std::vector<std::int64_t> numbers;
  const char* at = line.data();
  const char* const end = at + line.size();
  while (numbers.size() < 3) {
    std::int64_t value = 0;
    const auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || value < 0) {
      return std::nullopt;
    }
    numbers.push_back(value);
    at = next;
    if (numbers.size() < 3 && (at == end || *at++ != ',')) {
      return std::nullopt;
    }
  }
  return at == end ? std::optional(numbers) : std::nullopt;
}

}  // namespace

std::vector<std::int64_t> apportion(std::span<const double> shares, std::int64_t rows) {
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<std::int64_t> counts;
  std::vector<double> rest;
  for (const double share : shares) {
    const double exact = static_cast<double>(rows) * (share / sum);
    counts.push_back(static_cast<std::int64_t>(exact));
    rest.push_back(exact - std::floor(exact));
  }
  std::vector<std::size_t> order(shares.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return rest[a] > rest[b]; });
  std::int64_t left = rows - std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  for (std::size_t i = 0; left > 0; i = (i + 1) % order.size(), --left) {
    ++counts[order[i]];
  }
  return counts;
}

std::vector<std::int64_t> uniform_counts(std::int64_t experts, std::int64_t rows) {
  return apportion(std::vector<double>(static_cast<std::size_t>(experts), 1.0), rows);
}

std::vector<std::int64_t> lognormal_counts(std::int64_t experts,
                                           std::int64_t rows,
                                           double sigma,
                                           std::uint64_t seed) {
  SplitMix random(seed);
  std::vector<double> shares(static_cast<std::size_t>(experts));
  for (double& share : shares) {
    share = std::exp(sigma * random.normal());
  }
  return apportion(shares, rows);
}

std::vector<std::int64_t> one_hot_counts(std::int64_t experts, std::int64_t rows) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(experts));
  counts.front() = rows;
  return counts;
}

std::vector<std::int64_t> trace_counts(std::span<const std::int64_t> layer,
                                       std::int64_t experts,
                                       std::int64_t rows) {
  const auto wanted = static_cast<std::size_t>(experts);
  if (layer.size() < wanted) {
    return {};
  }
  const std::vector<double> shares(layer.begin(), layer.begin() + experts);
  if (std::accumulate(shares.begin(), shares.end(), 0.0) <= 0) {
    return {};
  }
  return apportion(shares, rows);
}

std::vector<std::int64_t> counts_of_skew(std::string_view skew,
                                         std::int64_t experts,
                                         std::int64_t rows,
                                         const TraceLoads& trace) {
  const auto seed = static_cast<std::uint64_t>(experts * 1'000'003 + rows);
  const auto number_behind = [&](std::string_view prefix, auto& value) {
    if (!skew.starts_with(prefix)) {
      return false;
    }
    const std::string_view text = skew.substr(prefix.size());
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  };
  double sigma = 0;
  std::size_t layer = 0;
  if (skew == "uniform") {
    return uniform_counts(experts, rows);
  }
  if (skew == "one_hot") {
    return one_hot_counts(experts, rows);
  }
  if (number_behind("lognormal", sigma)) {
    return lognormal_counts(experts, rows, sigma, seed);
  }
  if (number_behind("trace-", layer) && layer < trace.size()) {
    return trace_counts(trace[layer], experts, rows);
  }
  throw std::invalid_argument("unknown skew " + std::string(skew));
}

std::vector<std::int64_t> capped(std::vector<std::int64_t> counts, std::int64_t most) {
  std::int64_t beyond = 0;
  for (std::int64_t& count : counts) {
    beyond += std::max<std::int64_t>(count - most, 0);
    count = std::min(count, most);
  }
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(
      order.begin(), order.end(), [&](auto a, auto b) { return counts[a] < counts[b]; });
  for (const std::size_t e : order) {
    const std::int64_t room = std::min(most - counts[e], beyond);
    counts[e] += room;
    beyond -= room;
  }
  return counts;
}

std::vector<std::int32_t> routing_of_counts(const std::vector<std::int64_t>& counts,
                                            std::int64_t tokens,
                                            std::int64_t top_k,
                                            std::uint64_t seed) {
  SplitMix random(seed);
  std::vector<std::size_t> token(static_cast<std::size_t>(tokens));
  std::iota(token.begin(), token.end(), std::size_t{0});
  for (std::size_t i = token.size(); i > 1; --i) {
    const auto other = static_cast<std::size_t>(random.uniform() * static_cast<double>(i));
    std::swap(token[i - 1], token[std::min(other, i - 1)]);
  }
  // Expert after expert deals to the tokens in turn: none meets an expert twice, all get top_k.
  const auto slots = static_cast<std::size_t>(top_k);
  std::vector<std::int32_t> experts(token.size() * slots);
  std::size_t dealt = 0;
  for (std::size_t e = 0; e < counts.size(); ++e) {
    for (std::int64_t i = 0; i < counts[e]; ++i, ++dealt) {
      experts.at(token[dealt % token.size()] * slots + dealt / token.size()) =
          static_cast<std::int32_t>(e);
    }
  }
  return experts;
}

std::vector<std::int32_t> expert_major_rows(const std::vector<std::int32_t>& experts,
                                            std::int64_t num_experts) {
  std::vector<std::int32_t> next(static_cast<std::size_t>(num_experts) + 1);
  for (const std::int32_t e : experts) {
    ++next.at(static_cast<std::size_t>(e) + 1);
  }
  std::partial_sum(next.begin(), next.end(), next.begin());
  std::vector<std::int32_t> rows;
  rows.reserve(experts.size());
  for (const std::int32_t e : experts) {
    rows.push_back(next[static_cast<std::size_t>(e)]++);
  }
  return rows;
}

TraceLoads read_trace_loads(const std::string& file) {
  std::ifstream in(file);
  if (!in) {
    throw std::runtime_error("cannot read " + file);
  }
  std::string line;
  if (!std::getline(in, line) || line != "layer,expert,assignments") {
    throw KitMistake(file + ":1: expected the header layer,expert,assignments");
  }
  TraceLoads layers;
  for (int number = 2; std::getline(in, line); ++number) {
    const auto row = three_numbers(line);
    const bool next_layer = row && (*row)[0] == static_cast<std::int64_t>(layers.size());
    if (next_layer && (*row)[1] == 0) {
      layers.emplace_back();
    }
    const bool fits = row && !layers.empty() &&
                      (*row)[0] + 1 == static_cast<std::int64_t>(layers.size()) &&
                      (*row)[1] == static_cast<std::int64_t>(layers.back().size());
    if (!fits) {
      throw KitMistake(file + ":" + std::to_string(number) +
                       ": expected layer,expert,assignments with layers and experts counted up "
                       "from 0");
    }
    layers.back().push_back((*row)[2]);
  }
  if (layers.empty()) {
    throw KitMistake(file + ": holds no loads");
  }
  return layers;
}

}  // namespace moesim::measure
