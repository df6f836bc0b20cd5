// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/field_access.hpp"

namespace moesim {
namespace {

constexpr CountRange kExperts{.min = 1, .max = 65'534};  // ExpertIndex has 16 bits
constexpr CountRange kGateSize{.min = 1, .max = 65'536};

// Words stand in the order of the enumerators.
constexpr std::string_view kOrigins[] = {"trace", "generated", "learned"};
constexpr std::string_view kTraceDraws[] = {"sequences", "tokens"};
constexpr std::string_view kGeneratorKinds[] = {"uniform", "zipf", "log_normal", "one_hot"};
constexpr std::string_view kGateWeights[] = {"none", "chosen", "all"};

void generator_fields(Fields& f, GeneratorSpec& g) {
  f.begin(optional("generated"));
  f.word(optional("kind"), g.kind, kGeneratorKinds);
  f.text(optional("fitted_on"), g.fitted_on);
  f.count(optional("experts"), g.experts, {.min = 0, .max = kExperts.max});
  f.count(optional("top_k"), g.top_k, {.min = 0, .max = kExperts.max});
  f.count(optional("layers"), g.layers, {.min = 0, .max = kLayers.max});
  f.number(optional("zipf_exponent"), g.zipf_exponent, NumberRange::kNotNegative);
  f.number(optional("popularity_sigma"), g.popularity_sigma, NumberRange::kNotNegative);
  f.number(optional("cold_share"), g.cold_share, NumberRange::kNotNegative);
  f.number(optional("cold_drop"), g.cold_drop, NumberRange::kNotNegative);
  f.number(optional("domain_sigma"), g.domain_sigma, NumberRange::kNotNegative);
  f.number(optional("request_sigma"), g.request_sigma, NumberRange::kNotNegative);
  f.number(optional("token_sigma"), g.token_sigma, NumberRange::kNotNegative);
  f.number(optional("token_correlation"), g.token_correlation, NumberRange::kNotNegative);
  f.count(optional("groups"), g.groups, kExperts);
  f.count(optional("top_groups"), g.top_groups, kExperts);
  f.count(optional("domains"), g.domains, kAtLeastOne);
  f.count(optional("request_tokens"), g.request_tokens, kAtLeastOne);
  f.count(optional("drift_steps"), g.drift_steps, kMayBeZero);
  f.word(optional("gate_weights"), g.gate_weights, kGateWeights);
  f.number(optional("weight_scale"), g.weight_scale, NumberRange::kNotNegative);
  f.end();
}

void learned_fields(Fields& f, LearnedSpec& l) {
  GateTraining& t = l.training;
  f.begin(optional("learned"));
  f.count(optional("first_step"), l.first_step, {.min = 0, .max = 100'000});
  f.count(optional("stride"), l.stride, {.min = 0, .max = 100'000});
  f.count(optional("tokens"), t.tokens, kGateSize);
  f.count(optional("clusters"), t.clusters, kGateSize);
  f.count(optional("width"), t.width, {.min = 1, .max = 1'024});
  f.number(optional("common_scale"), t.common_scale, NumberRange::kNotNegative);
  f.number(optional("token_scale"), t.token_scale, NumberRange::kNotNegative);
  f.number(optional("initial_scale"), t.initial_scale, NumberRange::kNotNegative);
  f.number(optional("learning_rate"), t.learning_rate, NumberRange::kNotNegative);
  f.number(optional("skill_rate"), t.skill_rate, NumberRange::kNotNegative);
  f.number(optional("aux_loss"), t.aux_loss, NumberRange::kNotNegative);
  f.number(optional("z_loss"), t.z_loss, NumberRange::kNotNegative);
  f.number(optional("noise"), t.noise, NumberRange::kNotNegative);
  f.number(optional("bias_rate"), t.bias_rate, NumberRange::kNotNegative);
  f.flag(optional("expert_choice"), t.expert_choice);
  f.count(optional("reset_after"), t.reset_after, {.min = 0, .max = 100'000});
  f.word(optional("gate_weights"), l.gate_weights, kGateWeights);
  f.end();
}

}  // namespace

std::span<const std::string_view> routing_origin_words() {
  return kOrigins;
}

void routing_fields(Fields& f, RoutingSpec& routing) {
  f.begin(optional("routing"));  // a model with experts needs it: load_scenario()
  f.word(optional("source"), routing.source, kOrigins);
  f.text(optional("trace"), routing.trace);
  f.word(optional("draw"), routing.draw, kTraceDraws);
  f.list(optional("domains"), routing.domains);
  generator_fields(f, routing.generated);
  learned_fields(f, routing.learned);
  f.end();
}

}  // namespace moesim
