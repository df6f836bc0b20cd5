// SPDX-License-Identifier: Apache-2.0
// The table [requests].
#include "sim/scenario/field_access.hpp"

namespace moesim {
namespace {

// Words stand in the order of the enumerators.
constexpr std::string_view kSources[] = {"poisson", "azure", "mooncake", "burstgpt", "table"};
constexpr std::string_view kPolicies[] = {"colocated", "disaggregated"};
constexpr std::string_view kBalances[] = {"least_loaded", "round_robin", "prefix"};
constexpr CountRange kBatchTokens{.min = 1, .max = 1'000'000};

}  // namespace

void request_fields(Fields& f, RequestSpec& r) {
  f.begin(optional("requests"));
  f.word(optional("source"), r.source, kSources);
  f.text(optional("path"), r.path);
  f.not_negative(optional("from"), r.from);
  f.not_negative(optional("to"), r.to);
  f.number(optional("rate_scale"), r.rate_scale, NumberRange::kPositive);
  f.not_negative(optional("spread"), r.spread);
  f.count(optional("concurrency"), r.concurrency, {.min = 0, .max = 100'000'000});
  f.number(optional("rate"), r.rate, NumberRange::kPositive);
  f.count(optional("count"), r.count, {.min = 1, .max = 100'000'000});
  f.number(optional("prompt_tokens"), r.prompt_tokens, NumberRange::kPositive);
  f.number(optional("prompt_sigma"), r.prompt_sigma, NumberRange::kNotNegative);
  f.number(optional("output_tokens"), r.output_tokens, NumberRange::kPositive);
  f.number(optional("output_sigma"), r.output_sigma, NumberRange::kNotNegative);
  f.not_negative(optional("ttft_slo"), r.ttft_slo);
  f.not_negative(optional("tpot_slo"), r.tpot_slo);
  f.not_negative(optional("warm_up"), r.warm_up);
  f.word(optional("policy"), r.policy, kPolicies);
  f.count(optional("groups"), r.groups, {.min = 1, .max = 100'000});
  f.count(optional("prefill_groups"), r.prefill_groups, {.min = 0, .max = 100'000});
  f.word(optional("balance"), r.balance, kBalances);
  f.count(optional("max_batch_tokens"), r.max_batch_tokens, kBatchTokens);
  f.count(optional("chunk_tokens"), r.chunk_tokens, {.min = 0, .max = 1'000'000});
  f.count(optional("max_sequences"), r.max_sequences, kBatchTokens);
  f.flag(optional("prefix_cache"), r.prefix_cache);
  f.count(optional("prefix_block"), r.prefix_block, {.min = 1, .max = 1'000'000});
  f.not_negative(optional("step_overhead"), r.step_overhead);
  f.positive(optional("interval"), r.interval);
  f.count(optional("surface_layers"), r.surface_layers, {.min = 0, .max = 100'000});
  f.count(optional("check_steps"), r.check_steps, {.min = 0, .max = 10'000});
  f.end();
}

std::span<const std::string_view> serving_policy_words() {
  return kPolicies;
}

std::span<const std::string_view> arrival_source_words() {
  return kSources;
}

}  // namespace moesim
