// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/assemble.hpp"

#include <fmt/format.h>

#include <limits>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/narrow_routing.hpp"
#include "sim/scenario/make_cluster.hpp"
#include "sim/scenario/memory_model.hpp"

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

/// Where the cost constants come from, part by part.
void note_calibration(const CostConstants& c, std::vector<std::string>& notes) {
  const bool experts = c.expert_fit.is_fitted();
  const bool communication = c.communication_fit.is_fitted();
  const bool assumed = c.evidence == Evidence::kAssumed;
  if (!experts && !communication && assumed) {
    notes.emplace_back(
        "cost constants are assumed, not measured: compare scenarios, do not quote times");
  }
  const auto note_part = [&](const char* part, const FitRecord& fit) {
    if (fit.is_fitted()) {
      notes.push_back(fmt::format("{}: constants of {}, {}", part, fit.kernel, c.source));
    } else if (assumed && (experts || communication)) {
      notes.push_back(fmt::format("{}: constants are assumed, not measured", part));
    }
  };
  note_part("experts", c.expert_fit);
  note_part("dispatch and combine", c.communication_fit);
}

/// What a reader must know of the routing.
void note_routing(const Scenario& scenario,
                  const RoutingSourceInfo& trace,
                  std::vector<std::string>& notes) {
  if (!trace.model.empty() && trace.model != scenario.model.name) {
    notes.push_back(fmt::format("routing was recorded from {}; layer sizes are those of {}",
                                trace.model,
                                scenario.model.name));
  }
  if (scenario.capacity.policy == OverflowPolicy::kSpill && !trace.slots_by_weight) {
    notes.emplace_back(
        "the trace does not order a token's experts by weight: spill asks them as they stand");
  }
}

std::vector<std::string> notes_on(const Scenario& scenario, const Assembly& assembly) {
  std::vector<std::string> notes;
  if (assembly.routing) {
    note_routing(scenario, assembly.routing->info(), notes);
  }
  const auto gpus = static_cast<int>(assembly.step.cluster.gpus.size());
  if (scenario.parallel.ep < gpus) {
    notes.push_back(fmt::format("{} of {} GPUs are used", scenario.parallel.ep, gpus));
  }
  note_calibration(scenario.calibration, notes);
  if (scenario.network.tolerance > 0.0) {
    notes.push_back(
        fmt::format("network flows end up to {:.4g} % of their phase late: "
                    "network.tolerance",
                    100 * scenario.network.tolerance));
  }
  return notes;
}

std::unique_ptr<RoutingSource> open_source(const Scenario& scenario, int layers) {
  if (scenario.routing.source == RoutingOrigin::kTrace) {
    std::unique_ptr<RoutingSource> source = open_routing_source(
        scenario.routing, scenario.parallel.ep, scenario.batch.tokens_per_rank, scenario.seed);
    check_fit(scenario, source->info(), layers);
    if (is_narrowed(scenario, source->info())) {
      return narrowed_source(std::move(source), scenario.model.top_k);
    }
    return source;
  }
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
  std::unique_ptr<RoutingSource> source =
      generate::open_generated_source(scenario.routing.generated,
                                      {.num_experts = scenario.model.num_experts,
                                       .top_k = scenario.model.top_k,
                                       .layers = layers,
                                       .ranks = scenario.parallel.ep,
                                       .tokens_per_rank = scenario.batch.tokens_per_rank},
                                      scenario.routing.draw,
                                      scenario.seed);
  std::vector<Diagnostic> mistakes = policy_mistakes(scenario, source->info());
  if (!mistakes.empty()) {
    throw UserError(std::move(mistakes));
  }
  return source;
}

/// The model that steps run on, with `layers` MoE layers.
Assembly assemble_layers(const Scenario& scenario, int layers) {
  Assembly assembly;
  if (!is_available(scenario.network.engine)) {
    throw EnvironmentError(
        "network.engine: \"simgrid\" is not in this build; see moesim --version");
  }
  StepModel& step = assembly.step;
  if (layers > 0) {
    assembly.routing = open_source(scenario, layers);
    step.placements = make_placements(
        scenario.placement, layers, scenario.model.num_experts, scenario.parallel.ep);
  }
  step.model = scenario.model;
  ScenarioCluster made = make_cluster(scenario);
  step.cluster = std::move(made.cluster);
  assembly.faults = std::move(made.hits);
  step.cuts = CutBounds(step.cluster, effective_capacities(step.cluster, scenario.calibration));
  step.capacity = scenario.capacity;
  step.dispatch = scenario.dispatch;
  step.constants = scenario.calibration;
  step.engine = scenario.network.engine;
  step.network_tolerance = scenario.network.tolerance;
  step.message_chunk = scenario.network.chunk;
  step.path_policy = scenario.network.paths;
  step.path_spread = scenario.network.spread;
  step.routing = assembly.routing.get();
  step.ranks = scenario.parallel.ep;
  step.layers = layers;
  step.seed = scenario.seed;
  assembly.notes = notes_on(scenario, assembly);
  return assembly;
}

}  // namespace

Assembly assemble(const Scenario& scenario) {
  if (scenario.step.kind != StepKind::kMoeLayers) {
    throw UserError({mismatch(
        "step.kind", "whole models are for moesim run, check and memory; this needs moe_layers")});
  }
  const int layers = scenario.step.layers > 0 ? scenario.step.layers : scenario.model.moe_layers;
  return assemble_layers(scenario, layers);
}

Assembly assemble_whole(const Scenario& scenario) {
  MOESIM_CHECK(scenario.step.kind != StepKind::kMoeLayers, "a whole model");
  check_memory(scenario);
  if (scenario.step.kind == StepKind::kTrain) {
    throw UserError({mismatch("step.kind", "train is only known to moesim memory so far")});
  }
  if (scenario.parallel.pp > 1) {
    throw UserError({mismatch(
        "parallel.pp",
        fmt::format("{} stages are only known to moesim memory so far", scenario.parallel.pp))});
  }
  if (scenario.network.tolerance > 0.0) {
    throw UserError(
        {mismatch("network.tolerance",
                  fmt::format("{}, but whole models are simulated exactly; leave it out",
                              scenario.network.tolerance))});
  }
  Assembly assembly = assemble_layers(scenario, scenario.model.moe_layers);
  assembly.notes.emplace_back(
      "attention, dense layers and head use the constants of the experts' GEMMs and of memory; "
      "nothing overlaps");
  if (scenario.model.moe_layers == 0) {
    assembly.notes.emplace_back(
        "a dense model: [routing], [capacity], [placement] and [dispatch] say nothing");
  }
  return assembly;
}

}  // namespace moesim
