// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/assemble.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/core/unit_text.hpp"
#include "sim/moe/lost_ranks.hpp"
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

/// The model that steps run on, with `layers` MoE layers.
Assembly assemble_layers(const Scenario& scenario, int layers) {
  Assembly assembly;
  if (!is_available(scenario.network.engine)) {
    throw EnvironmentError(
        "network.engine: \"simgrid\" is not in this build; see moesim --version");
  }
  StepModel& step = assembly.step;
  if (layers > 0) {
    assembly.routing = open_scenario_routing(scenario, layers);
  }
  step.model = scenario.model;
  ScenarioCluster made = make_cluster(scenario);
  step.cluster = std::move(made.cluster);
  assembly.faults = std::move(made.hits);
  step.cuts = CutBounds(step.cluster, effective_capacities(step.cluster, scenario.calibration));
  step.capacity = caps_in_rows(scenario);
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
  if (assembly.routing) {
    assembly.joins = joins_of(scenario, assembly.routing->info());
  }
  return assembly;
}

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
