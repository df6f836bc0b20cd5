// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/learned_gate.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/portable_math.hpp"
#include "sim/moe/generate/noise.hpp"

namespace moesim::generate {
namespace {

constexpr double kFirstSkill = 0.1;
constexpr double kMostWeight = 1e6;  // no gate that still learns has such a one

}  // namespace

double gate_normal(RngStream& rng) {
  return noise_tables().normal[rng() >> 16U] / double{kScoreOne};
}

void gate_scores(const FrozenGate& gate, std::span<const double> token, std::span<double> scores) {
  std::fill(scores.begin(), scores.end(), 0.0);
  for (std::size_t d = 0; d < token.size(); ++d) {
    const double* const weights = &gate.weights[d * scores.size()];
    for (std::size_t e = 0; e < scores.size(); ++e) {
      scores[e] += weights[e] * token[d];
    }
  }
}

double gate_shares(std::span<const double> scores, std::span<double> shares) {
  constexpr double kFarthest = 64.0;  // e^-64 is nothing beside the largest
  const double most = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (std::size_t e = 0; e < scores.size(); ++e) {
    const double below = std::min(most - scores[e], kFarthest);
    shares[e] = score_exp(-static_cast<std::int64_t>(below * kScoreOne));
    sum += shares[e];
  }
  for (double& share : shares) {
    share /= sum;
  }
  return most + portable_log(sum);
}

void take_largest(std::span<const double> values, std::span<ExpertIndex> best) {
  std::size_t filled = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (filled == best.size() && values[i] <= values[best[filled - 1]]) {
      continue;
    }
    std::size_t at = filled < best.size() ? filled++ : filled - 1;
    for (; at > 0 && values[i] > values[best[at - 1]]; --at) {
      best[at] = best[at - 1];
    }
    best[at] = static_cast<ExpertIndex>(i);
  }
}

GateTrainer::GateTrainer(
    const GateTraining& training, int experts, int top_k, std::uint64_t seed, int layer)
    : training_(training),
      top_k_(top_k),
      experts_(static_cast<std::size_t>(experts)),
      width_(static_cast<std::size_t>(training.width)),
      tokens_(static_cast<std::size_t>(training.tokens)),
      rng_(seed, "learned gate", static_cast<std::uint64_t>(layer)),
      weights_(experts_ * width_),
      skill_(experts_, kFirstSkill),
      bias_(experts_),
      idle_steps_(experts_) {
  MOESIM_CHECK(top_k > 0 && top_k <= experts && training.tokens > 0 && training.width > 0 &&
                   training.clusters > 0,
               "no such gate");
  MOESIM_CHECK(!training.expert_choice || training.tokens * std::int64_t{top_k} % experts == 0,
               "expert choice needs equal places");
  for (std::size_t e = 0; e < experts_; ++e) {
    for (std::size_t d = 0; d < width_; ++d) {
      weights_[d * experts_ + e] = training.initial_scale * gate_normal(rng_);
    }
  }
  // What every token shares is what lets an expert be liked by all.
  std::vector<double> common(width_);
  for (double& value : common) {
    value = training.common_scale * gate_normal(rng_);
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(training.clusters) * width_; ++i) {
    centres_.push_back(common[i % width_] + gate_normal(rng_) / 2.0);
  }
}

void GateTrainer::draw_token(std::size_t cluster, RngStream& rng, std::span<double> token) const {
  for (std::size_t d = 0; d < width_; ++d) {
    token[d] = centres_[cluster * width_ + d] + training_.token_scale * gate_normal(rng);
  }
}

std::vector<std::int64_t> GateTrainer::step() {
  draw_tokens();
  score();
  chosen_.assign(tokens_ * experts_, 0);
  if (training_.expert_choice) {
    experts_choose();
  } else {
    tokens_choose();
  }
  std::vector<std::int64_t> load(experts_);
  for (std::size_t t = 0; t < tokens_; ++t) {
    for (std::size_t e = 0; e < experts_; ++e) {
      load[e] += chosen_[t * experts_ + e];
    }
  }
  climb(load);
  learn(load);
  return load;
}

double GateTrainer::mean_load() const {
  return static_cast<double>(training_.tokens) * top_k_ / static_cast<double>(experts_);
}

void GateTrainer::draw_tokens() {
  inputs_.resize(tokens_ * width_);
  for (std::size_t t = 0; t < tokens_; ++t) {
    const std::size_t cluster = rng_.below(static_cast<std::uint64_t>(training_.clusters));
    draw_token(cluster, rng_, std::span(inputs_).subspan(t * width_, width_));
  }
}

void GateTrainer::score() {
  scores_.resize(tokens_ * experts_);
  shares_.resize(tokens_ * experts_);
  log_sum_.resize(tokens_);
  const FrozenGate gate = frozen();
  for (std::size_t t = 0; t < tokens_; ++t) {
    const auto z = std::span(scores_).subspan(t * experts_, experts_);
    gate_scores(gate, std::span(inputs_).subspan(t * width_, width_), z);
    log_sum_[t] = gate_shares(z, std::span(shares_).subspan(t * experts_, experts_));
  }
}

void GateTrainer::tokens_choose() {
  std::vector<double> worth(experts_);
  std::vector<ExpertIndex> best(static_cast<std::size_t>(top_k_));
  for (std::size_t t = 0; t < tokens_; ++t) {
    for (std::size_t e = 0; e < experts_; ++e) {
      const double noise = training_.noise > 0.0 ? training_.noise * gate_normal(rng_) : 0.0;
      worth[e] = scores_[t * experts_ + e] + bias_[e] + noise;
    }
    take_largest(worth, best);
    for (const ExpertIndex e : best) {
      chosen_[t * experts_ + e] = 1;
    }
  }
}

void GateTrainer::experts_choose() {
  const std::size_t places = tokens_ * static_cast<std::size_t>(top_k_) / experts_;
  std::vector<std::size_t> order(tokens_);
  for (std::size_t e = 0; e < experts_; ++e) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto share = [&](std::size_t t) { return shares_[t * experts_ + e]; };
    std::partial_sort(order.begin(),
                      order.begin() + static_cast<std::ptrdiff_t>(places),
                      order.end(),
                      [&](std::size_t a, std::size_t b) {
                        return share(a) != share(b) ? share(a) > share(b) : a < b;
                      });
    for (std::size_t i = 0; i < places; ++i) {
      chosen_[order[i] * experts_ + e] = 1;
    }
  }
}

/// The gate's step along dJ/dW; dp_e/dz_j = p_e (1[e = j] - p_j).
void GateTrainer::climb(const std::vector<std::int64_t>& load) {
  const auto experts = static_cast<double>(experts_);
  const double assignments = mean_load() * experts;
  std::vector<double> crowding(experts_);  // what the auxiliary loss takes
  for (std::size_t e = 0; e < experts_; ++e) {
    crowding[e] = training_.aux_loss * experts * (static_cast<double>(load[e]) / assignments);
  }
  std::vector<double> slope(experts_);
  std::vector<double> change(experts_ * width_);
  for (std::size_t t = 0; t < tokens_; ++t) {
    const double* const p = &shares_[t * experts_];
    double mean = 0.0;
    for (std::size_t e = 0; e < experts_; ++e) {
      slope[e] = chosen_[t * experts_ + e] * skill_[e] - crowding[e];
      mean += p[e] * slope[e];
    }
    for (std::size_t e = 0; e < experts_; ++e) {
      slope[e] = p[e] * (slope[e] - mean - 2.0 * training_.z_loss * log_sum_[t]);
    }
    for (std::size_t d = 0; d < width_; ++d) {
      const double input = inputs_[t * width_ + d];
      for (std::size_t e = 0; e < experts_; ++e) {
        change[d * experts_ + e] += slope[e] * input;
      }
    }
  }
  for (std::size_t i = 0; i < change.size(); ++i) {
    weights_[i] += training_.learning_rate * change[i] / training_.tokens;
    if (!(std::fabs(weights_[i]) < kMostWeight)) {
      throw UserError(
          "the gate's training diverges: lower the learning rate or the weights of the losses");
    }
  }
}

void GateTrainer::learn(const std::vector<std::int64_t>& load) {
  constexpr double kDead = 0.01;  // of the mean load
  for (std::size_t e = 0; e < experts_; ++e) {
    const double busy = static_cast<double>(load[e]) / mean_load();
    skill_[e] += std::min(1.0, training_.skill_rate * busy) * (1.0 - skill_[e]);
    bias_[e] += busy < 1.0 ? training_.bias_rate : -training_.bias_rate;
    idle_steps_[e] = busy < kDead ? idle_steps_[e] + 1 : 0;
    if (training_.reset_after > 0 && idle_steps_[e] >= training_.reset_after) {
      reset(e);
    }
  }
}

void GateTrainer::reset(std::size_t expert) {
  for (std::size_t d = 0; d < width_; ++d) {
    const auto row = std::span(weights_).subspan(d * experts_, experts_);
    const double mean =
        std::accumulate(row.begin(), row.end(), 0.0) / static_cast<double>(experts_);
    row[expert] = mean + training_.initial_scale * gate_normal(rng_);
  }
  skill_[expert] = kFirstSkill;
  idle_steps_[expert] = 0;
}

traces::RoutePack train_gate(const GateSpec& spec, std::uint64_t seed, const Pace& pace) {
  MOESIM_CHECK(spec.steps > 0 && spec.layers > 0, "nothing to train");
  const auto layers = static_cast<std::size_t>(spec.layers);
  const auto experts = static_cast<std::size_t>(spec.experts);
  const auto steps = static_cast<std::size_t>(spec.steps);
  std::vector<std::uint32_t> counts(steps * layers * experts);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    GateTrainer gate(spec.training, spec.experts, spec.top_k, seed, static_cast<int>(layer));
    for (std::size_t step = 0; step < steps; ++step) {
      tell(pace,
           "training the gates",
           static_cast<std::int64_t>(layer * steps + step),
           static_cast<std::int64_t>(layers * steps));
      const std::vector<std::int64_t> load = gate.step();
      std::copy(load.begin(),
                load.end(),
                counts.begin() + static_cast<std::ptrdiff_t>((step * layers + layer) * experts));
    }
  }
  traces::RoutePack pack;
  pack.header.experts = spec.experts;
  pack.header.top_k = spec.top_k;
  pack.header.layers = spec.layers;
  pack.header.phase = "training";
  pack.header.source = "generated, a learned gate on clustered tokens";
  pack.header.seed = seed;
  pack.header.axes = {"step", "layer", "expert"};
  pack.counts =
      traces::make_array(traces::NumberType::kU4, {spec.steps, spec.layers, spec.experts}, counts);
  return pack;
}

}  // namespace moesim::generate
