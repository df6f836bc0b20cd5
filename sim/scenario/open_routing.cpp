// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/open_routing.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "sim/core/diagnostics.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/generate/learned_source.hpp"
#include "sim/moe/narrow_routing.hpp"
#include "sim/moe/traces/trace_source.hpp"
#include "sim/scenario/assembly_cache.hpp"
#include "sim/scenario/fields.hpp"

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
  switch (scenario.routing.source) {
    case RoutingOrigin::kTrace:
      return "\"" + scenario.routing.trace + "\"";
    case RoutingOrigin::kGenerated:
      return "the generator";
    case RoutingOrigin::kLearned:
      return "the learned gate";
  }
  return "";
}

/// What the policy needs of the routing.
std::vector<Diagnostic> policy_mistakes(const Scenario& scenario, const RoutingSourceInfo& source) {
  std::vector<Diagnostic> mistakes;
  const CapacitySpec& capacity = scenario.capacity;
  const std::string name = source_name(scenario);
  const std::string_view policy = to_text(capacity.policy);
  const int told = source.top_k + source.candidates;
  if (needs_candidates(capacity.policy) && told <= scenario.model.top_k) {
    mistakes.push_back(mismatch(
        "capacity.policy",
        fmt::format("{} needs a trace with more than model.top_k = {} experts a token; {} has {}",
                    policy,
                    scenario.model.top_k,
                    name,
                    told)));
  } else if (needs_candidates(capacity.policy) && !source.has_weights && !source.slots_by_weight) {
    mistakes.push_back(mismatch("capacity.policy",
                                fmt::format("{} needs experts in order of gate weight; {} has "
                                            "neither weights nor ordered slots",
                                            policy,
                                            name)));
  }
  const bool by_weight = capacity.order == ServiceOrder::kWeight;
  const bool chooses = capacity.policy == OverflowPolicy::kExpertChoice;
  if ((by_weight || chooses) && !source.has_weights) {
    mistakes.push_back(mismatch(
        by_weight ? "capacity.order" : "capacity.policy",
        fmt::format("{} needs gate weights; {} has none", by_weight ? "weight" : policy, name)));
  }
  return mistakes;
}

void throw_any(std::vector<Diagnostic> mistakes) {
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
}

void check_fit(const Scenario& scenario, const RoutingSourceInfo& trace, int layers) {
  std::vector<Diagnostic> mistakes = policy_mistakes(scenario, trace);
  const std::string name = scenario.routing.trace;
  const auto add = [&](std::string message) {
    mistakes.push_back(mismatch("routing.trace", std::move(message)));
  };
  if (trace.num_experts != scenario.model.num_experts) {
    add(fmt::format("\"{}\" has {} experts a layer; model.num_experts is {}",
                    name,
                    trace.num_experts,
                    scenario.model.num_experts));
  }
  if (trace.top_k != scenario.model.top_k && !is_narrowed(scenario, trace)) {
    add(fmt::format(
        "\"{}\" has top_k {}; model.top_k is {}", name, trace.top_k, scenario.model.top_k));
  }
  if (trace.layers < layers) {
    add(fmt::format(
        "\"{}\" has {} MoE layers; {} are to be simulated; set step.layers = {} or less",
        name,
        trace.layers,
        layers,
        trace.layers));
  }
  throw_any(std::move(mistakes));
}

/// What `open` makes, or what it made before for a scenario of the same routing.
template <typename Open>
std::unique_ptr<RoutingSource> open_shared(
    const Scenario& scenario, int layers, int candidates, AssemblyCache* cache, const Open& open) {
  return cache == nullptr ? open() : cache->routing(scenario, layers, candidates, open);
}

std::unique_ptr<RoutingSource> open_trace(const Scenario& scenario,
                                          int layers,
                                          AssemblyCache* cache,
                                          const Pace& pace) {
  std::unique_ptr<RoutingSource> source = open_shared(scenario, layers, 0, cache, [&] {
    return traces::open_trace_source(scenario.routing,
                                     scenario.parallel.ep,
                                     scenario.batch.tokens_per_rank,
                                     scenario.seed,
                                     pace);
  });
  check_fit(scenario, source->info(), layers);
  if (is_narrowed(scenario, source->info())) {
    return narrowed_source(std::move(source), scenario.model.top_k);
  }
  return source;
}

void check_assignments(const Scenario& scenario) {
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

/// Experts beyond top_k that the policy can make use of, of `choosable` that a token may choose.
int wanted_candidates(const Scenario& scenario, int choosable) {
  const CapacitySpec& capacity = scenario.capacity;
  if (!needs_candidates(capacity.policy)) {
    return 0;
  }
  const int others = choosable - scenario.model.top_k;
  const bool bounded = capacity.policy == OverflowPolicy::kNextBest && capacity.tries > 0;
  const std::int64_t asked = std::int64_t{capacity.tries} * scenario.model.top_k;
  return bounded ? static_cast<int>(std::min<std::int64_t>(asked, others)) : others;
}

}  // namespace

std::unique_ptr<RoutingSource> open_scenario_routing(const Scenario& scenario,
                                                     int layers,
                                                     AssemblyCache* cache,
                                                     const Pace& pace) {
  const RoutingSpec& routing = scenario.routing;
  if (routing.source == RoutingOrigin::kTrace) {
    return open_trace(scenario, layers, cache, pace);
  }
  check_assignments(scenario);
  const bool learned = routing.source == RoutingOrigin::kLearned;
  const int experts = scenario.model.num_experts;
  const int choosable =
      learned ? experts : experts / routing.generated.groups * routing.generated.top_groups;
  const generate::SourceShape shape{.num_experts = experts,
                                    .top_k = scenario.model.top_k,
                                    .layers = layers,
                                    .ranks = scenario.parallel.ep,
                                    .tokens_per_rank = scenario.batch.tokens_per_rank,
                                    .candidates = wanted_candidates(scenario, choosable)};
  std::unique_ptr<RoutingSource> source = open_shared(
      scenario, layers, shape.candidates, cache, [&]() -> std::unique_ptr<RoutingSource> {
        if (learned) {
          return generate::open_learned_source(routing.learned, shape, scenario.seed, pace);
        }
        return generate::open_generated_source(
            routing.generated, shape, routing.draw, scenario.seed, pace);
      });
  throw_any(policy_mistakes(scenario, source->info()));
  return source;
}

void note_routing(const Scenario& scenario,
                  const RoutingSourceInfo& routing,
                  std::vector<std::string>& notes) {
  if (scenario.capacity.policy == OverflowPolicy::kSpill && !routing.slots_by_weight) {
    notes.emplace_back(
        "the trace does not order a token's experts by weight: spill asks them as they stand");
  }
  if (scenario.routing.source == RoutingOrigin::kLearned) {
    notes.emplace_back(
        "routing is assumed: a gate trained on made-up tokens; trust the sign and the rough time "
        "of collapse and cure, no more");
  } else if (scenario.routing.source == RoutingOrigin::kGenerated && routing.has_weights) {
    notes.push_back(fmt::format("gate weights are generated: a softmax of the scores times {}",
                                scenario.routing.generated.weight_scale));
  }
}

std::vector<std::string> joins_of(const Scenario& scenario, const RoutingSourceInfo& routing) {
  std::vector<std::string> joins;
  const std::string& model = scenario.model.name;
  if (!routing.model.empty() && routing.model != model) {
    joins.push_back(fmt::format(
        "routing was recorded from {}; layer sizes are those of {}", routing.model, model));
  } else if (!routing.fitted_on.empty()) {
    joins.push_back(
        fmt::format("routing is drawn from numbers fitted on {}; layer sizes are those "
                    "of {}",
                    routing.fitted_on,
                    model));
  } else if (routing.origin == "generated" || routing.origin == "learned") {
    joins.push_back(fmt::format("routing is made up; layer sizes are those of {}", model));
  }
  if (routing.origin == "counts") {
    joins.emplace_back(
        "loads were recorded, tokens are drawn to meet them: which experts meet in a token is "
        "chance");
  }
  const StepKind kind = scenario.step.kind;
  const std::string_view step = step_kind_words()[static_cast<std::size_t>(kind)];
  const bool whole = kind != StepKind::kMoeLayers;
  const bool told =
      routing.phase == "prefill" || routing.phase == "decode" || routing.phase == "training";
  const bool same = routing.phase == step || (routing.phase == "training" && step == "train");
  if (whole && kind != StepKind::kServing && told && !same) {
    joins.push_back(
        fmt::format("the routing is one of {}; the step is one of {}", routing.phase, step));
  }
  if (whole && kind != StepKind::kServing) {
    joins.emplace_back(
        "sequence lengths are batch.context_tokens; the routing's sequences have lengths of their "
        "own");
  }
  return joins;
}

}  // namespace moesim
