// SPDX-License-Identifier: Apache-2.0
// A gate that learns while experts learn: how routing collapses, and what prevents it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/moe/traces/pack.hpp"

namespace moesim::generate {

struct GateSpec {
  int experts = 32;
  int top_k = 2;
  int layers = 4;              ///< gates trained apart, each from its own start
  int steps = 100;             ///< training steps
  int tokens = 1024;           ///< of a step
  int width = 16;              ///< of a token
  int clusters = 32;           ///< kinds of tokens
  double common_scale = 0.3;   ///< standard deviation of the mean that all tokens share
  double token_scale = 1.0;    ///< of a token around its cluster's centre
  double initial_scale = 0.1;  ///< standard deviation of the gate's first weights
  double learning_rate = 3.0;  ///< of the gate
  double skill_rate = 0.3;     ///< of an expert for a mean load
  double aux_loss = 0.0;       ///< alpha
  double z_loss = 0.0;         ///< beta
  double noise = 0.0;          ///< standard deviation added to the scores that choose
  double bias_rate = 0.0;      ///< step of the biases that choose
  bool expert_choice = false;  ///< experts choose tokens
  int reset_after = 0;         ///< steps under 1 % of the mean after which an expert starts anew
};

/// Loads of a gate over its training, a counts pack [step, layer, expert].
///
/// A token x is its cluster's centre plus N(0, 1/4) in every direction, all around a common mean;
/// its scores are z = W x, p = softmax(z). The top_k largest z (+ noise, + bias) are chosen. The
/// gate climbs the skill that its choice meets and the losses hold it back:
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
[[nodiscard]] traces::RoutePack train_gate(const GateSpec& spec, std::uint64_t seed);

}  // namespace moesim::generate
