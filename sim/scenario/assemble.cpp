// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/assemble.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/unit_text.hpp"
#include "sim/moe/lost_ranks.hpp"
#include "sim/scenario/assembly_cache.hpp"
#include "sim/scenario/assembly_notes.hpp"
#include "sim/scenario/make_cluster.hpp"
#include "sim/scenario/memory_model.hpp"
#include "sim/scenario/open_routing.hpp"
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

/// Bytes of a dispatched row: what one assignment takes in a buffer.
std::int64_t row_bytes(const Scenario& scenario) {
  return copy_bytes(scenario.model, scenario.dispatch.kind).dispatch();
}

/// [capacity] with the caps in bytes turned into assignments.
CapacitySpec caps_in_rows(const Scenario& scenario) {
  CapacitySpec spec = scenario.capacity;
  const auto in_rows = [&](Bytes bytes, std::int64_t& cap, const char* key) {
    if (bytes.value > 0.0) {
      cap = static_cast<std::int64_t>(bytes.value / static_cast<double>(row_bytes(scenario)));
      if (cap == 0) {
        throw UserError({mismatch(
            key, fmt::format("{} hold no row of {} B", to_text(bytes), row_bytes(scenario)))});
      }
    }
  };
  in_rows(spec.sender_bytes, spec.sender_cap, "capacity.sender_bytes");
  in_rows(spec.receiver_bytes, spec.receiver_cap, "capacity.receiver_bytes");
  return spec;
}

void note_caps(const Scenario& scenario,
               const CapacitySpec& spec,
               std::vector<std::string>& notes) {
  const auto note = [&](Bytes bytes, std::int64_t rows, const char* key) {
    if (bytes.value > 0.0) {
      notes.push_back(
          fmt::format("{} = {}: {} rows of {} B", key, to_text(bytes), rows, row_bytes(scenario)));
    }
  };
  note(spec.sender_bytes, spec.sender_cap, "capacity.sender_bytes");
  note(spec.receiver_bytes, spec.receiver_cap, "capacity.receiver_bytes");
}

std::vector<std::string> notes_on(const Scenario& scenario, const Assembly& assembly) {
  std::vector<std::string> notes;
  if (assembly.routing) {
    note_routing(scenario, assembly.routing->info(), notes);
    note_caps(scenario, assembly.step.capacity, notes);
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

/// Groups of ranks stand for each other, so all must be sound.
void check_groups(const Scenario& s) {
  if (s.parallel.gpus() > s.parallel.ep && !s.faults.empty()) {
    const bool trains = s.step.kind == StepKind::kTrain;
    throw UserError({mismatch("faults",
                              fmt::format("{} on more than one group of parallel.ep ranks is "
                                          "simulated without faults",
                                          trains ? "training" : "a pipeline"))});
  }
}

/// The cluster with its faults and cuts. @return the nodes that are lost
std::vector<int> put_cluster(Assembly& assembly, const Scenario& scenario, AssemblyCache* cache) {
  StepModel& step = assembly.step;
  if (cache != nullptr) {
    const auto known = cache->cluster(scenario);
    step.cluster = known->made.cluster;
    step.cuts = known->cuts;
    assembly.faults = known->made.hits;
    return known->made.lost_nodes;
  }
  ScenarioCluster made = make_cluster(scenario);
  step.cluster = std::move(made.cluster);
  step.cuts = CutBounds(step.cluster, effective_capacities(step.cluster, scenario.calibration));
  assembly.faults = std::move(made.hits);
  return std::move(made.lost_nodes);
}

/// The model that steps run on, with `layers` MoE layers.
Assembly assemble_layers(const Scenario& scenario,
                         int layers,
                         AssemblyCache* cache,
                         const Pace& pace) {
  Assembly assembly;
  if (!is_available(scenario.network.engine)) {
    throw EnvironmentError(
        "network.engine: \"simgrid\" is not in this build; see moesim --version");
  }
  StepModel& step = assembly.step;
  if (layers > 0) {
    assembly.routing = open_scenario_routing(scenario, layers, cache, pace);
  }
  step.model = scenario.model;
  const std::vector<int> lost_nodes = put_cluster(assembly, scenario, cache);
  step.capacity = caps_in_rows(scenario);
  step.dispatch = scenario.dispatch;
  step.constants = scenario.calibration;
  step.engine = scenario.network.engine;
  step.network_tolerance = scenario.network.tolerance;
  step.message_chunk = scenario.network.chunk;
  step.path_policy = scenario.network.paths;
  step.path_spread = scenario.network.spread;
  step.replicas = scenario.placement.replicas;
  LostRanks lost = lost_ranks(step.cluster, lost_nodes, scenario.parallel.ep);
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
  if (assembly.routing) {
    assembly.joins = joins_of(scenario, assembly.routing->info());
  }
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

Assembly assemble(const Scenario& scenario, AssemblyCache* cache, const Pace& pace) {
  if (scenario.step.kind != StepKind::kMoeLayers) {
    throw UserError({mismatch(
        "step.kind", "whole models are for moesim run, check and memory; this needs moe_layers")});
  }
  const int layers = scenario.step.layers > 0 ? scenario.step.layers : scenario.model.moe_layers;
  return assemble_layers(scenario, layers, cache, pace);
}

Assembly assemble_whole(const Scenario& scenario, AssemblyCache* cache, const Pace& pace) {
  MOESIM_CHECK(scenario.step.kind != StepKind::kMoeLayers, "a whole model");
  check_memory(scenario);
  check_groups(scenario);
  if (scenario.network.tolerance > 0.0) {
    throw UserError({inexact(scenario)});
  }
  Assembly assembly = assemble_layers(scenario, scenario.model.moe_layers, cache, pace);
  note_whole_model(scenario, assembly.notes);
  return assembly;
}

Assembly assemble_serving(const Scenario& scenario, const Pace& pace) {
  MOESIM_CHECK(scenario.step.kind == StepKind::kServing, "requests over time");
  if (scenario.network.tolerance > 0.0) {
    throw UserError({inexact(scenario)});
  }
  Scenario probe = scenario;  // a source of its own for placements that are made from loads
  probe.batch.tokens_per_rank = kTokensToPlaceBy;
  probe.batch.steps = 0;
  Assembly assembly = assemble_layers(probe, scenario.model.moe_layers, nullptr, pace);
  note_whole_model(scenario, assembly.notes);
  return assembly;
}

}  // namespace moesim
