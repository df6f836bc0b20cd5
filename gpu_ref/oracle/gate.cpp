// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/oracle/gate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace moesim::gpu_ref::oracle {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

/// Positions of the k largest, best first, ties to the lower position.
std::vector<std::int32_t> largest(std::span<const double> values, int k) {
  std::vector<std::int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return values[static_cast<std::size_t>(a)] > values[static_cast<std::size_t>(b)];
  });
  order.resize(static_cast<std::size_t>(k));
  return order;
}

/// -infinity outside of the groups a token may use.
void close_groups(std::span<double> choice, const GateSpec& gate) {
  const std::size_t size = choice.size() / static_cast<std::size_t>(gate.groups);
  std::vector<double> scores;
  for (std::size_t begin = 0; begin < choice.size(); begin += size) {
    std::vector<double> group(choice.begin() + static_cast<std::ptrdiff_t>(begin),
                              choice.begin() + static_cast<std::ptrdiff_t>(begin + size));
    std::sort(group.begin(), group.end(), std::greater<>());
    scores.push_back(size == 1 ? group[0] : group[0] + group[1]);
  }
  const std::vector<std::int32_t> open = largest(scores, gate.groups_kept);
  for (std::size_t e = 0; e < choice.size(); ++e) {
    const auto group = static_cast<std::int32_t>(e / size);
    if (std::find(open.begin(), open.end(), group) == open.end()) {
      choice[e] = kNever;
    }
  }
}

void softmax_row(std::span<const double> logits, std::span<double> scores, double& log_sum_exp) {
  const double peak = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (std::size_t e = 0; e < logits.size(); ++e) {
    scores[e] = std::exp(logits[e] - peak);
    sum += scores[e];
  }
  for (double& score : scores) {
    score /= sum;
  }
  log_sum_exp = peak + std::log(sum);
}

std::span<double> row_of(Matrix& matrix, std::int64_t row) {
  return std::span(matrix.values)
      .subspan(static_cast<std::size_t>(row * matrix.columns),
               static_cast<std::size_t>(matrix.columns));
}

/// d loss / d p[t, e] of the auxiliary loss.
double auxiliary_slope(const Choice& choice, std::int32_t count, const GateSpec& gate) {
  const auto tokens = static_cast<double>(choice.scores.rows);
  return static_cast<double>(gate.aux_loss_factor) * static_cast<double>(choice.scores.columns) *
         count / (tokens * choice.top_k) / tokens;
}

/// d loss / d score through the weights of token t.
void add_weight_slope(const Choice& choice,
                      std::span<const double> d_weights,
                      const GateSpec& gate,
                      std::int64_t t,
                      std::span<double> slope) {
  double sum = 0;
  double through_sum = 0;
  const auto slots = static_cast<std::size_t>(choice.top_k);
  const std::size_t begin = static_cast<std::size_t>(t) * slots;
  for (std::size_t a = begin; a < begin + slots; ++a) {
    if (choice.experts[a] >= 0) {
      sum += choice.scores.at(t, choice.experts[a]);
      through_sum += d_weights[a] * choice.scores.at(t, choice.experts[a]);
    }
  }
  for (std::size_t a = begin; a < begin + slots; ++a) {
    if (choice.experts[a] < 0) {
      continue;
    }
    double& d = slope[static_cast<std::size_t>(choice.experts[a])];
    if (!gate.renormalise) {
      d += static_cast<double>(gate.scale) * d_weights[a];
    } else if (sum > 0) {
      d += static_cast<double>(gate.scale) * (d_weights[a] / sum - through_sum / (sum * sum));
    }
  }
}

/// The best expert that a token has not tried, -1 if there is none.
std::int32_t best_untried(std::span<const double> choice, const std::vector<bool>& tried) {
  std::int32_t expert = -1;
  double best = kNever;
  for (std::size_t e = 0; e < choice.size(); ++e) {
    if (!tried[e] && choice[e] > best) {
      best = choice[e];
      expert = static_cast<std::int32_t>(e);
    }
  }
  return expert;
}

}  // namespace

Choice choose(const Matrix& logits, std::span<const double> bias, const GateSpec& gate, int top_k) {
  Choice out;
  out.top_k = top_k;
  out.scores = Matrix(logits.rows, logits.columns);
  out.choice = logits;
  out.normaliser.resize(static_cast<std::size_t>(logits.rows));
  for (std::int64_t t = 0; t < logits.rows; ++t) {
    const std::span<double> scores = row_of(out.scores, t);
    const std::span<double> choice = row_of(out.choice, t);
    double& normaliser = out.normaliser[static_cast<std::size_t>(t)];
    if (gate.kind == GateKind::kSoftmaxTopK) {
      softmax_row(logits.row(t), scores, normaliser);
    } else {
      for (std::size_t e = 0; e < scores.size(); ++e) {
        scores[e] = 1.0 / (1.0 + std::exp(-logits.row(t)[e]));
        choice[e] = scores[e] + (bias.empty() ? 0.0 : bias[e]);
        normaliser += scores[e];
      }
      close_groups(choice, gate);
    }
    const std::vector<std::int32_t> best = largest(choice, top_k);
    out.experts.insert(out.experts.end(), best.begin(), best.end());
  }
  weigh(out, gate);
  return out;
}

void weigh(Choice& choice, const GateSpec& gate) {
  choice.weights.assign(choice.experts.size(), 0.0);
  const auto slots = static_cast<std::size_t>(choice.top_k);
  for (std::size_t begin = 0; begin < choice.experts.size(); begin += slots) {
    const auto token = static_cast<std::int64_t>(begin / slots);
    double sum = 0;
    for (std::size_t a = begin; a < begin + slots; ++a) {
      choice.weights[a] = choice.experts[a] < 0 ? 0.0 : choice.scores.at(token, choice.experts[a]);
      sum += choice.weights[a];
    }
    const double factor =
        static_cast<double>(gate.scale) / (gate.renormalise ? (sum > 0 ? sum : 1.0) : 1.0);
    for (std::size_t a = begin; a < begin + slots; ++a) {
      choice.weights[a] *= factor;
    }
  }
}

std::vector<std::int32_t> counts_of(std::span<const std::int32_t> experts, int num_experts) {
  std::vector<std::int32_t> counts(static_cast<std::size_t>(num_experts));
  for (const std::int32_t expert : experts) {
    if (expert >= 0) {
      ++counts[static_cast<std::size_t>(expert)];
    }
  }
  return counts;
}

Losses losses_of(const Choice& choice, std::span<const std::int32_t> counts, const GateSpec& gate) {
  const std::int64_t tokens = choice.scores.rows;
  const std::int64_t experts = choice.scores.columns;
  Losses losses;
  if (tokens == 0) {
    return losses;
  }
  const bool softmax = gate.kind == GateKind::kSoftmaxTopK;
  for (std::int64_t e = 0; e < experts; ++e) {
    double mean = 0;
    for (std::int64_t t = 0; t < tokens; ++t) {
      mean +=
          choice.scores.at(t, e) / (softmax ? 1.0 : choice.normaliser[static_cast<std::size_t>(t)]);
    }
    mean /= static_cast<double>(tokens);
    const double fraction =
        counts[static_cast<std::size_t>(e)] / (static_cast<double>(tokens) * choice.top_k);
    losses.auxiliary += fraction * mean;
  }
  losses.auxiliary *= static_cast<double>(gate.aux_loss_factor) * static_cast<double>(experts);
  if (softmax) {
    for (const double log_sum_exp : choice.normaliser) {
      losses.z += log_sum_exp * log_sum_exp;
    }
    losses.z *= static_cast<double>(gate.z_loss_factor) / static_cast<double>(tokens);
  }
  return losses;
}

Matrix logits_backward(const Choice& choice,
                       std::span<const double> d_weights,
                       std::span<const std::int32_t> counts,
                       const GateSpec& gate) {
  const std::int64_t tokens = choice.scores.rows;
  const std::int64_t experts = choice.scores.columns;
  const bool softmax = gate.kind == GateKind::kSoftmaxTopK;
  Matrix out(tokens, experts);
  std::vector<double> slope(static_cast<std::size_t>(experts));
  for (std::int64_t t = 0; t < tokens; ++t) {
    std::fill(slope.begin(), slope.end(), 0.0);
    if (!d_weights.empty()) {
      add_weight_slope(choice, d_weights, gate, t, slope);
    }
    const double norm = choice.normaliser[static_cast<std::size_t>(t)];
    double spread = 0;  // what dividing by the sum of the scores takes off every slope
    for (std::int64_t e = 0; !softmax && e < experts; ++e) {
      spread += auxiliary_slope(choice, counts[static_cast<std::size_t>(e)], gate) *
                choice.scores.at(t, e) / norm;
    }
    for (std::int64_t e = 0; e < experts; ++e) {
      const double own = auxiliary_slope(choice, counts[static_cast<std::size_t>(e)], gate);
      slope[static_cast<std::size_t>(e)] += softmax ? own : (own - spread) / norm;
    }
    double mean = 0;
    for (std::int64_t e = 0; e < experts; ++e) {
      mean += slope[static_cast<std::size_t>(e)] * choice.scores.at(t, e);
    }
    const double z =
        2.0 * static_cast<double>(gate.z_loss_factor) * norm / static_cast<double>(tokens);
    for (std::int64_t e = 0; e < experts; ++e) {
      const double p = choice.scores.at(t, e);
      const double d = slope[static_cast<std::size_t>(e)];
      out.at(t, e) = softmax ? p * (d - mean + z) : d * p * (1.0 - p);
    }
  }
  return out;
}

void divert(std::vector<std::int32_t>& experts,
            const Matrix& choice,
            int top_k,
            std::int64_t capacity) {
  const auto num_experts = static_cast<std::size_t>(choice.columns);
  std::vector<std::int64_t> taken(num_experts);
  std::vector<std::vector<bool>> tried(static_cast<std::size_t>(choice.rows),
                                       std::vector<bool>(num_experts));
  std::vector<std::size_t> waiting;
  for (std::size_t a = 0; a < experts.size(); ++a) {
    tried[a / static_cast<std::size_t>(top_k)][static_cast<std::size_t>(experts[a])] = true;
    waiting.push_back(a);
  }
  while (!waiting.empty()) {
    std::vector<std::size_t> refused;
    for (const std::size_t a : waiting) {
      std::int64_t& count = taken[static_cast<std::size_t>(experts[a])];
      if (count < capacity) {
        ++count;
      } else {
        refused.push_back(a);
      }
    }
    waiting.clear();
    for (const std::size_t a : refused) {
      const std::size_t token = a / static_cast<std::size_t>(top_k);
      const std::span<const double> row = choice.row(static_cast<std::int64_t>(token));
      experts[a] = best_untried(row, tried[token]);
      if (experts[a] >= 0) {
        tried[token][static_cast<std::size_t>(experts[a])] = true;
        waiting.push_back(a);
      }
    }
  }
}

std::vector<std::uint8_t> kept(const LayerSpec& spec,
                               std::span<const std::int32_t> experts,
                               std::span<const std::int32_t> token_begin) {
  const auto slots = static_cast<std::size_t>(spec.shape.top_k);
  const bool drops = spec.capacity.overflow == Overflow::kDrop;
  const bool group = spec.capacity.scope == OverflowScope::kGroup;
  std::vector<std::uint8_t> keep(experts.size());
  std::vector<std::int64_t> taken(static_cast<std::size_t>(spec.shape.num_experts));
  for (std::size_t rank = 0; rank + 1 < token_begin.size(); ++rank) {
    if (!group) {
      std::fill(taken.begin(), taken.end(), 0);
    }
    const std::int64_t tokens =
        group ? token_begin.back() : token_begin[rank + 1] - token_begin[rank];
    const std::int64_t capacity =
        expert_capacity(spec.capacity.factor, tokens, spec.shape.top_k, spec.shape.num_experts);
    const std::size_t end = static_cast<std::size_t>(token_begin[rank + 1]) * slots;
    for (std::size_t a = static_cast<std::size_t>(token_begin[rank]) * slots; a < end; ++a) {
      if (experts[a] >= 0) {
        std::int64_t& count = taken[static_cast<std::size_t>(experts[a])];
        keep[a] = !drops || count < capacity ? 1 : 0;
        count += keep[a];
      }
    }
  }
  return keep;
}

}  // namespace moesim::gpu_ref::oracle
