// SPDX-License-Identifier: Apache-2.0
// A gate that learns while experts learn: how routing collapses, and what prevents it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/generate/gate_spec.hpp"
#include "sim/moe/routing.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::generate {

struct GateSpec {
  int experts = 32;
  int top_k = 2;
  int layers = 4;   ///< gates trained apart, each from its own start
  int steps = 100;  ///< training steps
  GateTraining training;
};

/// What a gate chooses by, at one moment of its training.
struct FrozenGate {
  std::vector<double> weights;  ///< [width, expert]
  std::vector<double> bias;     ///< by expert
};

/// One layer's gate in training, and the skills of its experts.
///
/// A token x is its cluster's centre plus N(0, 1/4) in every direction, all around a common mean;
/// its scores are z = W x, p = softmax(z) with z in steps of 2^-16. The top_k largest z (+ noise, +
/// bias) are chosen. The gate climbs the skill that its choice meets and the losses hold it back:
///   J = mean over tokens of [sum of p_e s_e over the chosen e  -  beta (ln sum e^z)^2]
///       - alpha E sum f_e P_e,   f_e share of assignments, P_e mean of p_e
///   W += learning_rate dJ/dW
/// An expert's skill s grows with the tokens it sees, which is what makes the busy busier:
///   s_e += skill_rate (load_e / mean load) (1 - s_e), at most to 1; s starts at 0.1
/// Bias adjustment: b_e += bias_rate for experts below the mean load, -= above; not in p.
/// Expert choice: every expert takes the tokens * top_k / experts tokens of largest p_e.
/// Reset: the expert's weights become the mean of all plus fresh noise, its skill 0.1.
/// Source: Switch (Fedus et al. 2021) for the auxiliary loss, ST-MoE (Zoph et al. 2022) for z-loss,
///   Shazeer et al. 2017 for noisy top-k, Wang et al. 2024 (arXiv 2408.15664) for the bias, Zhou et
///   al. 2022 for expert choice.
/// Valid for: the sign and rough time of collapse and cure; one scalar stands for an expert, so the
///   losses of a real training cannot be read from it.
/// Checked by: learned_gate_test.
class GateTrainer {
 public:
  GateTrainer(const GateTraining& training, int experts, int top_k, std::uint64_t seed, int layer);

  /// One step of training; returns the loads before it.
  std::vector<std::int64_t> step();
  [[nodiscard]] FrozenGate frozen() const { return {weights_, bias_}; }
  /// Writes a token of the cluster to `token`, [width].
  void draw_token(std::size_t cluster, RngStream& rng, std::span<double> token) const;

 private:
  [[nodiscard]] double mean_load() const;
  void draw_tokens();
  void score();
  void tokens_choose();
  void experts_choose();
  void climb(const std::vector<std::int64_t>& load);
  void learn(const std::vector<std::int64_t>& load);
  void reset(std::size_t expert);

  GateTraining training_;
  int top_k_;
  std::size_t experts_;
  std::size_t width_;
  std::size_t tokens_;
  RngStream rng_;
  std::vector<double> weights_;  ///< [width, expert]
  std::vector<double> centres_;  ///< [cluster, width]
  std::vector<double> skill_;
  std::vector<double> bias_;
  std::vector<int> idle_steps_;
  std::vector<double> inputs_;        ///< [token, width]
  std::vector<double> scores_;        ///< [token, expert]
  std::vector<double> shares_;        ///< softmax of scores_
  std::vector<double> log_sum_;       ///< by token
  std::vector<std::uint8_t> chosen_;  ///< [token, expert]
};

/// scores[e] = sum over d of weights[d, e] token[d].
void gate_scores(const FrozenGate& gate, std::span<const double> token, std::span<double> scores);

/// Softmax of the scores; returns ln of the sum of their exponentials.
double gate_shares(std::span<const double> scores, std::span<double> shares);

/// Puts the positions of the largest values into `best`, largest first, equal ones by position.
void take_largest(std::span<const double> values, std::span<ExpertIndex> best);

/// Standard normal.
[[nodiscard]] double gate_normal(RngStream& rng);

/// Loads of gates over their training, a counts pack [step, layer, expert].
[[nodiscard]] traces::RoutePack train_gate(const GateSpec& spec,
                                           std::uint64_t seed,
                                           const Pace& pace = {});

}  // namespace moesim::generate
