// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/loads.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"

namespace moesim::calibrate {
namespace {

ExpertIndex balanced_expert(LoadShape shape, std::int64_t token, std::int64_t tokens, int choice) {
  const std::int64_t stride = (shape.num_experts + shape.top_k - 1) / shape.top_k;
  const std::int64_t first = tokens >= stride ? token : token * stride / tokens;
  return static_cast<ExpertIndex>((first + choice * stride) % shape.num_experts);
}

Routing empty_routing(LoadShape shape, int tokens_per_rank) {
  Routing routing{.num_experts = shape.num_experts,
                  .top_k = shape.top_k,
                  .token_begin = {},
                  .experts = {},
                  .weights = {}};
  for (int r = 0; r <= shape.ranks; ++r) {
    routing.token_begin.push_back(r * tokens_per_rank);
  }
  return routing;
}

/// Indices by value, largest first, the first among equals.
template <typename Value>
std::vector<std::size_t> largest_first(const std::vector<Value>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return values[a] > values[b];
  });
  return order;
}

/// No expert above `tokens`: the rest fills the lightest experts one after the other.
void cap_load(std::vector<std::int64_t>& load,
              const std::vector<std::size_t>& order,
              std::int64_t tokens) {
  std::int64_t over = 0;
  for (std::int64_t& count : load) {
    over += std::max(count - tokens, std::int64_t{0});
    count = std::min(count, tokens);
  }
  for (auto expert = order.rbegin(); expert != order.rend() && over > 0; ++expert) {
    const std::int64_t taken = std::min(over, tokens - load[*expert]);
    load[*expert] += taken;
    over -= taken;
  }
}

/// Sums to `total`: one more or one less an expert, lightest first.
void complete_load(std::vector<std::int64_t>& load,
                   const std::vector<std::size_t>& order,
                   std::int64_t total,
                   std::int64_t tokens) {
  std::int64_t missing = total - std::accumulate(load.begin(), load.end(), std::int64_t{0});
  for (std::size_t i = 0; missing != 0; i = (i + 1) % order.size()) {
    std::int64_t& count = load[order[order.size() - 1 - i]];
    if (missing > 0) {
      const std::int64_t more = count < tokens ? 1 : 0;
      count += more;
      missing -= more;
    } else {
      --(count > 0 ? count : *std::max_element(load.begin(), load.end()));
      ++missing;
    }
  }
}

/// Assignments per expert of one draw.
std::vector<std::int64_t> power_law_draw(LoadShape shape,
                                         std::int64_t tokens,
                                         double exponent,
                                         RngStream rng) {
  const std::int64_t total = tokens * shape.top_k;
  const bool many = total > shape.num_experts;
  const double power = 1 - exponent;
  const double low = std::pow(many ? 1.0 : 0.01, power);
  const double high = std::pow(many ? 0.8 * static_cast<double>(tokens) : 2.0, power);
  std::vector<double> weights;
  weights.reserve(static_cast<std::size_t>(shape.num_experts));
  for (int e = 0; e < shape.num_experts; ++e) {
    weights.push_back(std::pow((high - low) * rng.uniform01() + low, 1 / power));
  }
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::int64_t> load;
  load.reserve(weights.size());
  for (const double w : weights) {
    load.push_back(std::llround(w / sum * static_cast<double>(total)));
  }
  const std::vector<std::size_t> order = largest_first(weights);
  cap_load(load, order, tokens);
  complete_load(load, order, total, tokens);
  return load;
}

/// Where the most loaded rank's experts start, the first among equals.
std::size_t most_loaded_rank(LoadShape shape, const std::vector<std::int64_t>& load) {
  const auto per_rank = static_cast<std::size_t>(shape.num_experts / shape.ranks);
  std::size_t best = 0;
  std::int64_t most = -1;
  for (std::size_t at = 0; at < load.size(); at += per_rank) {
    const auto from = load.begin() + static_cast<std::ptrdiff_t>(at);
    const std::int64_t sum =
        std::accumulate(from, from + static_cast<std::ptrdiff_t>(per_rank), std::int64_t{0});
    if (sum > most) {
      most = sum;
      best = at;
    }
  }
  return best;
}

/// Distinct tokens with an assignment to experts [first, first + per_rank).
std::int64_t tokens_received(const std::vector<std::int64_t>& load,
                             std::int64_t tokens,
                             std::size_t first,
                             std::size_t per_rank) {
  std::vector<bool> seen(static_cast<std::size_t>(tokens));
  std::int64_t at = 0;
  for (const std::size_t expert : largest_first(load)) {
    if (expert >= first && expert < first + per_rank) {
      for (std::int64_t i = 0; i < load[expert]; ++i) {
        seen[static_cast<std::size_t>((at + i) % tokens)] = true;
      }
    }
    at += load[expert];
  }
  return std::count(seen.begin(), seen.end(), true);
}

}  // namespace

Routing balanced_routing(LoadShape shape, int tokens_per_rank) {
  Routing routing = empty_routing(shape, tokens_per_rank);
  for (std::int64_t t = 0; t < routing.num_tokens(); ++t) {
    for (int k = 0; k < shape.top_k; ++k) {
      routing.experts.push_back(balanced_expert(shape, t, routing.num_tokens(), k));
    }
  }
  return routing;
}

Routing uniform_routing(LoadShape shape, int tokens_per_rank, std::uint64_t seed) {
  Routing routing = empty_routing(shape, tokens_per_rank);
  RngStream rng(seed, "calibration routing");
  std::vector<ExpertIndex> experts(static_cast<std::size_t>(shape.num_experts));
  std::iota(experts.begin(), experts.end(), ExpertIndex{0});
  for (std::int64_t t = 0; t < routing.num_tokens(); ++t) {
    for (std::size_t k = 0; k < static_cast<std::size_t>(shape.top_k); ++k) {
      std::swap(experts[k], experts[k + rng.below(experts.size() - k)]);
      routing.experts.push_back(experts[k]);
    }
  }
  return routing;
}

std::vector<std::vector<std::int64_t>> power_law_loads(LoadShape shape,
                                                       std::int64_t tokens,
                                                       double exponent,
                                                       std::optional<std::int64_t> received) {
  MOESIM_CHECK(exponent != 1.0, "the inverse of a power law needs another exponent than 1");
  struct Draw {
    std::vector<std::int64_t> rank_load;
    std::int64_t distance = 0;  // from what the rank received
  };
  const auto per_rank = static_cast<std::size_t>(shape.num_experts / shape.ranks);
  std::vector<Draw> draws;
  const int usual = shape.ranks == 1 ? kOneRankDraws : kPowerLawDraws;
  for (int i = 0; i < (received ? kReceivedDraws : usual); ++i) {
    const RngStream rng(1, "power law", static_cast<std::uint64_t>(i));
    const std::vector<std::int64_t> load = power_law_draw(shape, tokens, exponent, rng);
    const std::size_t first = most_loaded_rank(shape, load);
    const auto from = load.begin() + static_cast<std::ptrdiff_t>(first);
    Draw draw{.rank_load = {from, from + static_cast<std::ptrdiff_t>(per_rank)}, .distance = 0};
    if (received) {
      draw.distance = std::abs(tokens_received(load, tokens, first, per_rank) - *received);
    }
    draws.push_back(std::move(draw));
  }
  std::stable_sort(draws.begin(), draws.end(), [](const Draw& a, const Draw& b) {
    return a.distance < b.distance;
  });
  draws.resize(static_cast<std::size_t>(received ? kNearestDraws : usual));
  std::vector<std::vector<std::int64_t>> loads;
  loads.reserve(draws.size());
  for (Draw& draw : draws) {
    loads.push_back(std::move(draw.rank_load));
  }
  return loads;
}

std::vector<std::int64_t> balanced_load(LoadShape shape, std::int64_t tokens) {
  std::vector<std::int64_t> load(static_cast<std::size_t>(shape.num_experts));
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (int k = 0; k < shape.top_k; ++k) {
      ++load[balanced_expert(shape, t, tokens, k)];
    }
  }
  load.resize(static_cast<std::size_t>(shape.num_experts / shape.ranks));
  return load;
}

std::vector<std::int64_t> filled_load(LoadShape shape, std::int64_t tokens, std::int64_t block) {
  const std::int64_t rows = tokens * shape.top_k / shape.ranks;
  const std::int64_t slots = shape.num_experts / shape.ranks;
  const std::int64_t used = std::clamp((rows + block - 1) / block, std::int64_t{1}, slots);
  std::vector<std::int64_t> load(static_cast<std::size_t>(slots));
  for (std::int64_t i = 0; i < used; ++i) {
    load[static_cast<std::size_t>(i)] = rows / used + (i < rows % used ? 1 : 0);
  }
  return load;
}

}  // namespace moesim::calibrate
