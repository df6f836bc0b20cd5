// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/assemble.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/lost_ranks.hpp"
#include "sim/moe/narrow_routing.hpp"
#include "sim/scenario/assembly_notes.hpp"
#include "sim/scenario/make_cluster.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/step/layer_work.hpp"
#include "sim/step/placement_training.hpp"

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
  const bool trains = scenario.step.kind == StepKind::kTrain;
  const bool serves = scenario.step.kind == StepKind::kServing;
  const std::int64_t used = trains   ? scenario.parallel.gpus()
                            : serves ? std::int64_t{scenario.requests.groups} * scenario.parallel.ep
                                     : scenario.parallel.ep;
  if (used < gpus) {
    notes.push_back(fmt::format("{} of {} GPUs are used", used, gpus));
  }
  note_calibration(scenario.calibration, notes);
  if (scenario.network.tolerance > 0.0) {
    notes.push_back(
        fmt::format("network flows end up to {:.4g} % of their phase late: "
                    "network.tolerance",
                    100 * scenario.network.tolerance));
  }
  const PlacementSpec& placement = scenario.placement;
  if (is_trained(placement.kind) && placement.train_first < scenario.batch.steps) {
    const int last =
        std::min(placement.train_first + placement.train_steps, scenario.batch.steps) - 1;
    notes.push_back(fmt::format(
        "the placement was made from the loads of steps {} to {}, which are replayed too: it knows "
        "what comes; see moesim place",
        placement.train_first,
        last));
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

std::vector<Placement> place_experts(const Scenario& scenario,
                                     const Assembly& assembly,
                                     int layers) {
  const PlacementSpec& spec = scenario.placement;
  const int ranks = scenario.parallel.ep;
  if (is_trained(spec.kind)) {
    const StepWindow window{spec.train_first, spec.train_steps};
    return trained_placements(spec,
                              window_loads(*assembly.routing, window, layers),
                              ranks,
                              eplb_nodes(make_domains(rank_places(assembly.step.cluster, ranks))));
  }
  return make_placements(spec, placement_size(scenario, layers), scenario.seed);
}

/// Ranks on lost nodes; empty without one.
LostRanks lost_ranks(const Cluster& cluster, const std::vector<int>& nodes, int ranks) {
  LostRanks lost(static_cast<std::size_t>(ranks));
  for (int r = 0; r < ranks; ++r) {
    const int node = cluster.place(GpuId{r}).node;
    lost[static_cast<std::size_t>(r)] = std::find(nodes.begin(), nodes.end(), node) != nodes.end();
  }
  return std::find(lost.begin(), lost.end(), true) == lost.end() ? LostRanks{} : lost;
}

/// Leaves the lost ranks' slots and tokens out.
void leave_out(Assembly& assembly, LostRanks lost) {
  if (lost.empty()) {
    return;
  }
  if (std::find(lost.begin(), lost.end(), false) == lost.end()) {
    throw UserError({mismatch("faults.nodes", "every rank is on a lost node")});
  }
  for (std::size_t layer = 0; layer < assembly.step.placements.size(); ++layer) {
    Remaining left = without_lost(assembly.step.placements[layer], lost);
    if (!left.without_slot.empty()) {
      throw UserError({mismatch(
          "faults.nodes",
          fmt::format("the lost nodes hold all slots of expert {} of layer {} and of {} more; "
                      "moesim place --survive finds placements that outlive them",
                      left.without_slot.front().value,
                      layer,
                      left.without_slot.size() - 1))});
    }
    assembly.step.placements[layer] = std::move(left.placement);
  }
  assembly.step.lost = lost;
  assembly.routing = without_lost(std::move(assembly.routing), std::move(lost));
}

/// What the capacity policy asks of the placement.
void check_replicas(const Scenario& scenario, const std::vector<Placement>& placements) {
  const bool any = std::any_of(
      placements.begin(), placements.end(), [](const Placement& p) { return p.has_replicas(); });
  const OverflowPolicy policy = scenario.capacity.policy;
  if (policy == OverflowPolicy::kReplica && !any) {
    throw UserError(
        {mismatch("capacity.policy",
                  "replica needs an expert with more than one slot; the placement has "
                  "none: set placement.kind to eplb with placement.slots, or to file")});
  }
  if (policy == OverflowPolicy::kExpertChoice && any) {
    throw UserError({mismatch(
        "capacity.policy",
        "expert_choice has no rule for replicas, and the placement gives experts more than one")});
  }
}

/// What is simulated of pipelines, and what not.
void check_pipeline(const Scenario& s) {
  const bool trains = s.step.kind == StepKind::kTrain;
  if (s.parallel.pp > 1 && !trains) {
    throw UserError(
        {mismatch("parallel.pp",
                  fmt::format("{} stages are simulated in training only; moesim memory knows them "
                              "in prefill and decode",
                              s.parallel.pp))});
  }
  if (trains && s.parallel.gpus() > s.parallel.ep && !s.faults.empty()) {
    throw UserError({mismatch("faults",
                              "training on more than one group of parallel.ep ranks is simulated "
                              "without faults")});
  }
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
  step.replicas = scenario.placement.replicas;
  LostRanks lost = lost_ranks(step.cluster, made.lost_nodes, scenario.parallel.ep);
  if (scenario.step.kind != StepKind::kMoeLayers && !lost.empty()) {
    throw UserError(
        {mismatch("faults.nodes", "a whole model is not simulated without its lost ranks")});
  }
  if (layers > 0) {
    step.placements = place_experts(scenario, assembly, layers);
    check_replicas(scenario, step.placements);
    leave_out(assembly, std::move(lost));
  }
  step.routing = assembly.routing.get();
  step.ranks = scenario.parallel.ep;
  step.layers = layers;
  step.seed = scenario.seed;
  assembly.notes = notes_on(scenario, assembly);
  return assembly;
}

Diagnostic inexact(const Scenario& scenario) {
  return mismatch("network.tolerance",
                  fmt::format("{}, but whole models are simulated exactly; leave it out",
                              scenario.network.tolerance));
}

/// Tokens a rank of the steps from whose loads serving makes greedy and eplb placements.
constexpr int kTokensToPlaceBy = 256;

}  // namespace

PlacementSize placement_size(const Scenario& scenario, int layers) {
  return {.layers = layers,
          .experts = scenario.model.num_experts,
          .ranks = scenario.parallel.ep,
          .first_layer = scenario.model.first_moe_layer,
          .model_layers = scenario.model.layers,
          .moe_layers = scenario.model.moe_layers};
}

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
  check_pipeline(scenario);
  if (scenario.network.tolerance > 0.0) {
    throw UserError({inexact(scenario)});
  }
  Assembly assembly = assemble_layers(scenario, scenario.model.moe_layers);
  note_whole_model(scenario, assembly.notes);
  return assembly;
}

Assembly assemble_serving(const Scenario& scenario) {
  MOESIM_CHECK(scenario.step.kind == StepKind::kServing, "requests over time");
  if (scenario.network.tolerance > 0.0) {
    throw UserError({inexact(scenario)});
  }
  Scenario probe = scenario;  // a source of its own for placements that are made from loads
  probe.batch.tokens_per_rank = kTokensToPlaceBy;
  probe.batch.steps = 0;
  Assembly assembly = assemble_layers(probe, scenario.model.moe_layers);
  note_whole_model(scenario, assembly.notes);
  return assembly;
}

}  // namespace moesim
