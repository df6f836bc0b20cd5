// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/open_source.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "sim/core/diagnostics.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/narrow_routing.hpp"
#include "sim/scenario/assembly_cache.hpp"

namespace moesim {
namespace {

Diagnostic mismatch(std::string key, std::string message) {
  return {.place = {},
          .key = std::move(key),
          .message = std::move(message),
          .source_line = {},
          .hint = {}};
}

/// The trace records more experts a token than the model takes, and the policy asks for them.
bool is_narrowed(const Scenario& scenario, const RoutingSourceInfo& trace) {
  return needs_candidates(scenario.capacity.policy) && trace.top_k > scenario.model.top_k;
}

std::string source_name(const Scenario& scenario) {
  return scenario.routing.source == RoutingOrigin::kTrace ? "\"" + scenario.routing.trace + "\""
                                                          : "the generator";
}

/// What the policy needs of the routing.
std::vector<Diagnostic> policy_mistakes(const Scenario& scenario, const RoutingSourceInfo& trace) {
  std::vector<Diagnostic> mistakes;
  const CapacitySpec& capacity = scenario.capacity;
  const std::string name = source_name(scenario);
  const std::string_view policy = to_text(capacity.policy);
  if (needs_candidates(capacity.policy) && trace.top_k <= scenario.model.top_k) {
    mistakes.push_back(mismatch(
        "capacity.policy",
        fmt::format("{} needs a trace with more than model.top_k = {} experts a token; {} has {}",
                    policy,
                    scenario.model.top_k,
                    name,
                    trace.top_k)));
  } else if (needs_candidates(capacity.policy) && !trace.has_weights && !trace.slots_by_weight) {
    mistakes.push_back(mismatch("capacity.policy",
                                fmt::format("{} needs experts in order of gate weight; {} has "
                                            "neither weights nor ordered slots",
                                            policy,
                                            name)));
  }
  const bool by_weight = capacity.order == ServiceOrder::kWeight;
  const bool chooses = capacity.policy == OverflowPolicy::kExpertChoice;
  if ((by_weight || chooses) && !trace.has_weights) {
    mistakes.push_back(mismatch(
        by_weight ? "capacity.order" : "capacity.policy",
        fmt::format("{} needs gate weights; {} has none", by_weight ? "weight" : policy, name)));
  }
  return mistakes;
}

void check_fit(const Scenario& scenario, const RoutingSourceInfo& trace, int layers) {
  std::vector<Diagnostic> mistakes = policy_mistakes(scenario, trace);
  const std::string name = scenario.routing.trace;
  if (trace.num_experts != scenario.model.num_experts) {
    mistakes.push_back(
        mismatch("routing.trace",
                 fmt::format("\"{}\" has {} experts a layer; model.num_experts is {}",
                             name,
                             trace.num_experts,
                             scenario.model.num_experts)));
  }
  if (trace.top_k != scenario.model.top_k && !is_narrowed(scenario, trace)) {
    mistakes.push_back(mismatch(
        "routing.trace",
        fmt::format(
            "\"{}\" has top_k {}; model.top_k is {}", name, trace.top_k, scenario.model.top_k)));
  }
  if (trace.layers < layers) {
    mistakes.push_back(mismatch(
        "routing.trace",
        fmt::format(
            "\"{}\" has {} MoE layers; {} are to be simulated; set step.layers = {} or less",
            name,
            trace.layers,
            layers,
            trace.layers)));
  }
  if (!mistakes.empty()) {
    throw UserError(mistakes);
  }
}

void check_size(const Scenario& scenario) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (scenario.batch.tokens_per_rank > kMost / scenario.parallel.ep / scenario.model.top_k) {
    throw UserError({mismatch("batch.tokens_per_rank",
                              fmt::format("{} tokens on each of {} ranks with top_k {}; at most {} "
                                          "assignments a step",
                                          scenario.batch.tokens_per_rank,
                                          scenario.parallel.ep,
                                          scenario.model.top_k,
                                          kMost))});
  }
}

/// The trace or the generator by itself.
std::unique_ptr<RoutingSource> open_plain_source(const Scenario& scenario, int layers) {
  if (scenario.routing.source == RoutingOrigin::kTrace) {
    return open_routing_source(
        scenario.routing, scenario.parallel.ep, scenario.batch.tokens_per_rank, scenario.seed);
  }
  check_size(scenario);
  return generate::open_generated_source(scenario.routing.generated,
                                         {.num_experts = scenario.model.num_experts,
                                          .top_k = scenario.model.top_k,
                                          .layers = layers,
                                          .ranks = scenario.parallel.ep,
                                          .tokens_per_rank = scenario.batch.tokens_per_rank},
                                         scenario.routing.draw,
                                         scenario.seed);
}

}  // namespace

std::unique_ptr<RoutingSource> open_source(const Scenario& scenario,
                                           int layers,
                                           AssemblyCache* cache) {
  const auto open = [&] { return open_plain_source(scenario, layers); };
  std::unique_ptr<RoutingSource> source =
      cache == nullptr ? open() : cache->routing(scenario, layers, open);
  if (scenario.routing.source == RoutingOrigin::kTrace) {
    check_fit(scenario, source->info(), layers);
    if (is_narrowed(scenario, source->info())) {
      return narrowed_source(std::move(source), scenario.model.top_k);
    }
    return source;
  }
  std::vector<Diagnostic> mistakes = policy_mistakes(scenario, source->info());
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
  return source;
}

}  // namespace moesim
