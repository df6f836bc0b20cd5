// SPDX-License-Identifier: Apache-2.0
// What a gate in training depends on: [routing.learned] of a scenario, and options of `trace
// learn`.
#pragma once

#include "sim/moe/generate/generator_spec.hpp"

namespace moesim {

struct GateTraining {
  int tokens = 1024;           ///< of a training step
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

/// [routing.learned]
struct LearnedSpec {
  GateTraining training;
  int first_step = 0;  ///< training steps before the first simulated one
  int stride = 1;      ///< training steps from one simulated step to the next
  GateWeights gate_weights = GateWeights::kChosen;
};

}  // namespace moesim
