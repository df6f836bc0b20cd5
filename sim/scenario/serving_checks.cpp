// SPDX-License-Identifier: Apache-2.0
// Checks across the keys of [requests], and what serving asks of other tables.
#include <algorithm>
#include <array>

#include "sim/core/text.hpp"
#include "sim/scenario/cross_checker.hpp"
#include "sim/scenario/fields.hpp"
#include "sim/scenario/step_keys.hpp"

namespace moesim {
namespace {

constexpr std::array<std::string_view, 6> kOfPoisson = {"requests.rate",
                                                        "requests.count",
                                                        "requests.prompt_tokens",
                                                        "requests.prompt_sigma",
                                                        "requests.output_tokens",
                                                        "requests.output_sigma"};
constexpr std::array<std::string_view, 3> kOfTraces = {
    "requests.path", "requests.from", "requests.to"};

bool among(std::span<const std::string_view> paths, std::string_view path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

std::string step_kind(const CrossChecker& c, const Scenario& s) {
  return c.other("step.kind", step_kind_words()[static_cast<std::size_t>(s.step.kind)]);
}

void check_source(CrossChecker& c, const RequestSpec& r) {
  const std::string source =
      c.other("requests.source", arrival_source_words()[static_cast<std::size_t>(r.source)]);
  const bool poisson = r.source == ArrivalSource::kPoisson;
  for (const std::string_view path : kOfPoisson) {
    no_effect(c, !poisson, path, source);
  }
  for (const std::string_view path : kOfTraces) {
    no_effect(c, poisson, path, source);
  }
  c.check(!poisson && trimmed(r.path).empty(),
          "requests.path",
          {"requests.source"},
          fmt::format("missing; needed by {}", source));
  c.check(r.to.value > 0 && r.to <= r.from,
          "requests.to",
          {"requests.from"},
          fmt::format("{:g} s is not after {}",
                      r.to.value,
                      c.other("requests.from", fmt::format("{:g} s", r.from.value))));
}

/// Only forms of JSON lines name the blocks of a prompt.
void check_prefixes(CrossChecker& c, const RequestSpec& r) {
  const bool has = r.source == ArrivalSource::kMooncake || r.source == ArrivalSource::kTable;
  const std::string source =
      c.other("requests.source", arrival_source_words()[static_cast<std::size_t>(r.source)]);
  c.check(r.prefix_cache && !has,
          "requests.prefix_cache",
          {"requests.source"},
          fmt::format("needs hash_ids, which mooncake and table have, but {}", source));
  const std::string off = c.other("requests.prefix_cache", "false");
  no_effect(c, !r.prefix_cache, "requests.prefix_block", off);
  c.check(!r.prefix_cache && r.balance == BalanceRule::kPrefix,
          "requests.balance",
          {"requests.prefix_cache"},
          fmt::format("prefix looks at a cache of prefixes, but {}", off));
}

void check_batching(CrossChecker& c, const RequestSpec& r) {
  const std::string most = c.other("requests.max_batch_tokens", r.max_batch_tokens);
  c.check(r.chunk_tokens > r.max_batch_tokens,
          "requests.chunk_tokens",
          {"requests.max_batch_tokens"},
          fmt::format("{} is more than {}", r.chunk_tokens, most));
  c.check(r.max_sequences > r.max_batch_tokens,
          "requests.max_sequences",
          {"requests.max_batch_tokens"},
          fmt::format("{} is more than {}: each decodes a token a step", r.max_sequences, most));
}

void check_groups(CrossChecker& c, const Scenario& s) {
  const RequestSpec& r = s.requests;
  const std::string policy =
      c.other("requests.policy", serving_policy_words()[static_cast<std::size_t>(r.policy)]);
  const bool split = r.policy == ServingPolicy::kDisaggregated;
  no_effect(c, !split, "requests.prefill_groups", policy);
  c.check(split && (r.prefill_groups < 1 || r.prefill_groups >= r.groups),
          "requests.prefill_groups",
          {"requests.groups", "requests.policy"},
          fmt::format("{} of {} cannot prefill while others decode, as {} needs",
                      r.prefill_groups,
                      c.other("requests.groups", r.groups),
                      policy));
  const std::int64_t gpus = std::int64_t{s.cluster.nodes} * s.cluster.gpus_per_node;
  c.check(s.parallel.ep <= gpus && std::int64_t{r.groups} * s.parallel.ep > gpus,
          "requests.groups",
          {"parallel.ep", "cluster.nodes", "cluster.gpus_per_node"},
          fmt::format("{} groups of {} do not fit {} GPUs",
                      r.groups,
                      c.other("parallel.ep", s.parallel.ep),
                      gpus));
}

}  // namespace

bool request_key_has_no_effect(std::string_view path, const Scenario& scenario) {
  if (path != "requests" && !path.starts_with("requests.")) {
    return false;
  }
  if (scenario.step.kind != StepKind::kServing) {
    return true;
  }
  const RequestSpec& r = scenario.requests;
  return (among(kOfPoisson, path) && r.source != ArrivalSource::kPoisson) ||
         (among(kOfTraces, path) && r.source == ArrivalSource::kPoisson) ||
         (path == "requests.prefix_block" && !r.prefix_cache) ||
         (path == "requests.prefill_groups" && r.policy == ServingPolicy::kColocated);
}

void check_requests(CrossChecker& c, const Scenario& s) {
  const std::string kind = step_kind(c, s);
  if (s.step.kind != StepKind::kServing) {
    c.check(c.given("requests"),
            "requests",
            {"step.kind"},
            fmt::format("has no effect with {}; it needs serving", kind));
    return;
  }
  c.check(s.capacity.policy != OverflowPolicy::kNone,
          "capacity.policy",
          {"step.kind"},
          fmt::format("{}, but {} drops nothing; set none", to_text(s.capacity.policy), kind));
  c.check(s.parallel.pp > 1,
          "parallel.pp",
          {"step.kind"},
          fmt::format("{} stages, but {} knows one", s.parallel.pp, kind));
  for (const std::string_view path : {"batch.tokens_per_rank", "batch.steps"}) {
    no_effect(c, true, path, kind);
  }
  c.check(s.step.overlap == Overlap::kTwoBatch,
          "step.overlap",
          {"step.kind"},
          fmt::format("two_batch, but {} cuts no batch in two; set none or shared_expert", kind));
  check_source(c, s.requests);
  check_prefixes(c, s.requests);
  check_batching(c, s.requests);
  check_groups(c, s);
}

}  // namespace moesim
