// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/learned_gate.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/portable_math.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/generate/noise.hpp"

namespace moesim::generate {
namespace {

using Values = std::vector<double>;

constexpr double kFirstSkill = 0.1;

double normal(RngStream& rng) {
  return noise_tables().normal[rng() >> 16U] / double{kScoreOne};
}

/// One layer's gate and its experts' skills.
class Gate {
 public:
  Gate(const GateSpec& spec, std::uint64_t seed, int layer)
      : spec_(spec),
        experts_(static_cast<std::size_t>(spec.experts)),
        width_(static_cast<std::size_t>(spec.width)),
        tokens_(static_cast<std::size_t>(spec.tokens)),
        rng_(seed, "learned gate", static_cast<std::uint64_t>(layer)),
        skill_(experts_, kFirstSkill),
        bias_(experts_),
        idle_steps_(experts_) {
    for (std::size_t i = 0; i < experts_ * width_; ++i) {
      weights_.push_back(spec.initial_scale * normal(rng_));
    }
    // What every token shares is what lets an expert be liked by all.
    Values common(width_);
    for (double& value : common) {
      value = spec.common_scale * normal(rng_);
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(spec.clusters) * width_; ++i) {
      centres_.push_back(common[i % width_] + normal(rng_) / 2.0);
    }
  }

  /// One step of training; returns the loads before it.
  std::vector<std::int64_t> step() {
    draw_tokens();
    score();
    choose();
    std::vector<std::int64_t> load(experts_);
    for (std::size_t i = 0; i < chosen_.size(); ++i) {
      load[i % experts_] += chosen_[i] ? 1 : 0;
    }
    climb(load);
    learn(load);
    return load;
  }

 private:
  [[nodiscard]] double mean_load() const {
    return static_cast<double>(spec_.tokens) * spec_.top_k / spec_.experts;
  }

  void draw_tokens() {
    inputs_.clear();
    for (std::size_t t = 0; t < tokens_; ++t) {
      const std::size_t cluster = rng_.below(static_cast<std::uint64_t>(spec_.clusters));
      for (std::size_t d = 0; d < width_; ++d) {
        inputs_.push_back(centres_[cluster * width_ + d] + spec_.token_scale * normal(rng_));
      }
    }
  }

  void score() {
    scores_.assign(tokens_ * experts_, 0.0);
    shares_.assign(tokens_ * experts_, 0.0);
    log_sum_.assign(tokens_, 0.0);
    for (std::size_t t = 0; t < tokens_; ++t) {
      double* const z = &scores_[t * experts_];
      for (std::size_t e = 0; e < experts_; ++e) {
        for (std::size_t d = 0; d < width_; ++d) {
          z[e] += weights_[e * width_ + d] * inputs_[t * width_ + d];
        }
      }
      const double most = *std::max_element(z, z + experts_);
      double sum = 0.0;
      for (std::size_t e = 0; e < experts_; ++e) {
        sum += shares_[t * experts_ + e] = portable_exp(z[e] - most);
      }
      log_sum_[t] = most + portable_log(sum);
      for (std::size_t e = 0; e < experts_; ++e) {
        shares_[t * experts_ + e] /= sum;
      }
    }
  }

  void choose() {
    chosen_.assign(tokens_ * experts_, false);
    if (spec_.expert_choice) {
      experts_choose();
    } else {
      tokens_choose();
    }
  }

  void tokens_choose() {
    Values worth(experts_);
    std::vector<std::size_t> order(experts_);
    for (std::size_t t = 0; t < tokens_; ++t) {
      for (std::size_t e = 0; e < experts_; ++e) {
        const double noise = spec_.noise > 0.0 ? spec_.noise * normal(rng_) : 0.0;
        worth[e] = scores_[t * experts_ + e] + bias_[e] + noise;
      }
      take(worth, order, static_cast<std::size_t>(spec_.top_k));
      for (std::size_t i = 0; i < static_cast<std::size_t>(spec_.top_k); ++i) {
        chosen_[t * experts_ + order[i]] = true;
      }
    }
  }

  void experts_choose() {
    Values worth(tokens_);
    std::vector<std::size_t> order(tokens_);
    const std::size_t places = tokens_ * static_cast<std::size_t>(spec_.top_k) / experts_;
    for (std::size_t e = 0; e < experts_; ++e) {
      for (std::size_t t = 0; t < tokens_; ++t) {
        worth[t] = shares_[t * experts_ + e];
      }
      take(worth, order, places);
      for (std::size_t i = 0; i < places; ++i) {
        chosen_[order[i] * experts_ + e] = true;
      }
    }
  }

  /// The positions of the `count` largest first; equal ones by position.
  static void take(const Values& worth, std::vector<std::size_t>& order, std::size_t count) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::partial_sort(order.begin(),
                      order.begin() + static_cast<std::ptrdiff_t>(count),
                      order.end(),
                      [&](std::size_t a, std::size_t b) {
                        return worth[a] != worth[b] ? worth[a] > worth[b] : a < b;
                      });
  }

  /// The gate's step along dJ/dW; dp_e/dz_j = p_e (1[e = j] - p_j).
  void climb(const std::vector<std::int64_t>& load) {
    const double assignments = mean_load() * spec_.experts;
    Values slope(experts_);
    Values change(experts_ * width_);
    for (std::size_t t = 0; t < tokens_; ++t) {
      const double* const p = &shares_[t * experts_];
      double mean = 0.0;
      for (std::size_t e = 0; e < experts_; ++e) {
        const double crowd = static_cast<double>(load[e]) / assignments;
        slope[e] =
            (chosen_[t * experts_ + e] ? skill_[e] : 0.0) - spec_.aux_loss * spec_.experts * crowd;
        mean += p[e] * slope[e];
      }
      for (std::size_t e = 0; e < experts_; ++e) {
        const double dz = p[e] * (slope[e] - mean - 2.0 * spec_.z_loss * log_sum_[t]);
        for (std::size_t d = 0; d < width_; ++d) {
          change[e * width_ + d] += dz * inputs_[t * width_ + d];
        }
      }
    }
    for (std::size_t i = 0; i < change.size(); ++i) {
      weights_[i] += spec_.learning_rate * change[i] / spec_.tokens;
    }
  }

  void learn(const std::vector<std::int64_t>& load) {
    constexpr double kDead = 0.01;  // of the mean load
    for (std::size_t e = 0; e < experts_; ++e) {
      const double busy = static_cast<double>(load[e]) / mean_load();
      skill_[e] += std::min(1.0, spec_.skill_rate * busy) * (1.0 - skill_[e]);
      bias_[e] += busy < 1.0 ? spec_.bias_rate : -spec_.bias_rate;
      idle_steps_[e] = busy < kDead ? idle_steps_[e] + 1 : 0;
      if (spec_.reset_after > 0 && idle_steps_[e] >= spec_.reset_after) {
        reset(e);
      }
    }
  }

  void reset(std::size_t expert) {
    for (std::size_t d = 0; d < width_; ++d) {
      double sum = 0.0;
      for (std::size_t e = 0; e < experts_; ++e) {
        sum += weights_[e * width_ + d];
      }
      weights_[expert * width_ + d] = sum / spec_.experts + spec_.initial_scale * normal(rng_);
    }
    skill_[expert] = kFirstSkill;
    idle_steps_[expert] = 0;
  }

  const GateSpec& spec_;
  std::size_t experts_;
  std::size_t width_;
  std::size_t tokens_;
  RngStream rng_;
  Values weights_;  ///< [expert, width]
  Values centres_;  ///< [cluster, width]
  Values skill_;
  Values bias_;
  std::vector<int> idle_steps_;
  Values inputs_;             ///< [token, width]
  Values scores_;             ///< [token, expert]
  Values shares_;             ///< softmax of scores_
  Values log_sum_;            ///< by token
  std::vector<bool> chosen_;  ///< [token, expert]
};

}  // namespace

traces::RoutePack train_gate(const GateSpec& spec, std::uint64_t seed) {
  MOESIM_CHECK(spec.top_k > 0 && spec.top_k <= spec.experts && spec.tokens > 0 && spec.steps > 0 &&
                   spec.layers > 0 && spec.width > 0 && spec.clusters > 0,
               "no such gate");
  MOESIM_CHECK(!spec.expert_choice || spec.tokens * std::int64_t{spec.top_k} % spec.experts == 0,
               "expert choice needs equal places");
  const auto layers = static_cast<std::size_t>(spec.layers);
  const auto experts = static_cast<std::size_t>(spec.experts);
  const auto steps = static_cast<std::size_t>(spec.steps);
  std::vector<std::uint32_t> counts(steps * layers * experts);
  for (std::size_t layer = 0; layer < layers; ++layer) {
    Gate gate(spec, seed, static_cast<int>(layer));
    for (std::size_t step = 0; step < steps; ++step) {
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
