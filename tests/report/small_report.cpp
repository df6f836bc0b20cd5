// SPDX-License-Identifier: Apache-2.0
#include "tests/report/small_report.hpp"

namespace moesim {
namespace {

constexpr SimTime microseconds(std::int64_t n) {
  return {n * 1'000'000};
}

RankSpread spread(double mean_us, double max_us) {
  return {Seconds{mean_us * 1e-6}, Seconds{max_us * 1e-6}};
}

/// Parts of 1, 2, ... 4 us; the rest of the makespan is expert time.
LayerResult layer_of(std::int64_t makespan_us) {
  LayerResult layer;
  layer.first_start = microseconds(0);
  layer.last_finish = microseconds(makespan_us);
  layer.parts[static_cast<std::size_t>(Part::kGate)] = microseconds(1);
  layer.parts[static_cast<std::size_t>(Part::kLaunchLatency)] = microseconds(2);
  layer.parts[static_cast<std::size_t>(Part::kSender)] = microseconds(3);
  layer.parts[static_cast<std::size_t>(Part::kCombine)] = microseconds(4);
  layer.parts[static_cast<std::size_t>(Part::kExperts)] = microseconds(makespan_us - 10);
  layer.gate = spread(1, 1);
  layer.dispatch = spread(4, 5);
  layer.experts = spread(5, 10);
  layer.combine = spread(3, 4);
  layer.dispatch_bound = Seconds{3e-6};
  layer.combine_bound = Seconds{2e-6};
  layer.dispatch_cut = {Seconds{2.5e-6}, "domain 0 out"};
  layer.assignments = 100;
  layer.dropped = 10;
  layer.gate_weight = 50.0;
  layer.dropped_weight = 2.0;
  layer.diverted = 4;
  layer.tokens = 50;
  layer.lost_tokens = 3;
  layer.padding_rows = 9;
  layer.rank_imbalance = 1.5;
  layer.expert_imbalance = 1.25;
  layer.dispatch_bytes = 1000;
  layer.combine_bytes = 2000;
  layer.scale_out_bytes = 500;
  layer.expert_load = {40, 60};
  layer.rank_tokens = {68, 22};
  layer.hot_experts = {{ExpertId{1}, 60.0}, {ExpertId{0}, 40.0}};
  layer.hot_ranks = {{RankId{0}, 68.0}};
  layer.hot_pairs = {{RankId{0}, RankId{1}, 700}};
  layer.hot_links = {{LinkId{1}, 3000, Seconds{3e-6}}};
  return layer;
}

StepResult step_of(int index, std::int64_t makespan_us) {
  const LayerResult layer = layer_of(makespan_us);
  return {.step = index,
          .makespan = microseconds(makespan_us),
          .parts = layer.parts,
          .layers = {layer},
          .link_bytes = {0, 3000},
          .flows = 4,
          .network_events = 6,
          .pairs = {.ranks_per_cell = 1, .cells = 2, .bytes = {0, 700, 200, 0}}};
}

FabricView small_fabric() {
  return {.nodes = {{VertexKind::kGpu, "a", 0}, {VertexKind::kGpu, "b", 1}},
          .edges = {{0, 1, LinkKind::kScaleUp}, {1, 0, LinkKind::kScaleUp}},
          .gpus = {0, 1}};
}

/// The experts were measured, nothing else was; one input left the range.
StepEvidence small_evidence() {
  StepEvidence evidence;
  evidence.phases = {
      {.phase = "gate", .grade = Evidence::kAssumed, .kernel = "", .band = {}, .out = {}},
      {.phase = "dispatch", .grade = Evidence::kAssumed, .kernel = "", .band = {}, .out = {}},
      {.phase = "experts",
       .grade = Evidence::kExtrapolated,
       .kernel = "k",
       .band = Band{0.9, 1.25},
       .out = {"experts: rows 3; \"k\" was fitted from 4 to 8"}},
      {.phase = "combine", .grade = Evidence::kAssumed, .kernel = "", .band = {}, .out = {}}};
  return evidence;
}

}  // namespace

RunReport small_report() {
  return {.version = "9.8.7",
          .scenario = "small.toml",
          .resolved = "seed = 3\n",
          .seed = 3,
          .inputs = {{"small.toml", "00ff"}},
          .notes = {"a note"},
          .joins = {"a join"},
          .faults = {},
          .evidence = small_evidence(),
          .evidence_source = "a guess",
          .routing = {.model = "toy",
                      .origin = "trace",
                      .draw = "whole sequences",
                      .num_experts = 2,
                      .top_k = 1,
                      .layers = 1,
                      .has_weights = true},
          .link_names = {"a->b", "b->a"},
          .link_rates = {1e9, 1e9},
          .steps = {step_of(0, 20), step_of(1, 40)},
          .fabric = small_fabric()};
}

}  // namespace moesim
