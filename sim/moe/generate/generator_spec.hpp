// SPDX-License-Identifier: Apache-2.0
// What a generated routing depends on: [routing.generated] of a scenario.
#pragma once

#include <string>

namespace moesim {

enum class GeneratorKind {
  kUniform,    ///< every expert alike: the control that balancing aims at
  kZipf,       ///< popularity of the expert of rank r proportional to r^-zipf_exponent
  kLogNormal,  ///< popularity e^N(0, sigma) with tilts of domains, requests and tokens
  kOneHot,     ///< one expert of a layer is chosen by every token: the worst case
};

/// What stands as the gate weights of generated choices.
enum class GateWeights {
  kNone,    ///< nothing: the routing has no weights
  kChosen,  ///< softmax over the chosen experts alone (Mixtral, Qwen3, Granite)
  kAll,     ///< softmax over all experts of the layer (Switch, OLMoE, DeepSeek-V2)
};

struct GeneratorSpec {
  GeneratorKind kind = GeneratorKind::kLogNormal;
  std::string fitted_on;           ///< what the numbers were fitted on; "": chosen by hand
  int experts = 0;                 ///< what they were fitted for; 0: for any model
  int top_k = 0;                   ///< the same
  int layers = 0;                  ///< layers of a pack made with them; 0: to be stated
  double zipf_exponent = 1.0;      ///< only with kZipf
  double popularity_sigma = 1.0;   ///< of ln popularity over the experts of a layer
  double cold_share = 0.0;         ///< share of the experts of a layer that are cold
  double cold_drop = 0.0;          ///< by which a cold expert's ln popularity is lower
  double domain_sigma = 0.0;       ///< of a domain's tilt of ln popularity
  double request_sigma = 0.0;      ///< of a request's tilt
  double token_sigma = 0.0;        ///< of the part that neighbouring tokens share
  double token_correlation = 0.0;  ///< of that part from a token to the next, in [0, 1)
  int groups = 1;                  ///< groups of consecutive experts
  int top_groups = 1;              ///< groups that a token may choose from
  int domains = 1;                 ///< requests belong to them in turn
  int request_tokens = 512;        ///< tokens of a request
  int drift_steps = 0;             ///< steps until popularity is a fresh draw; 0: it stays
  GateWeights gate_weights = GateWeights::kChosen;
  double weight_scale = 0.5;  ///< gate weights are the softmax of the scores times this
};

}  // namespace moesim
