// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/fields.hpp"

#include "sim/scenario/field_access.hpp"

namespace moesim {
namespace {

constexpr CountRange kNodes{.min = 1, .max = 100'000};
constexpr CountRange kGpusPerNode{.min = 1, .max = 1024};
constexpr CountRange kTileEdge{.min = 1, .max = 65'536};

// Words stand in the order of the enumerators.
constexpr std::string_view kFabricKinds[] = {
    "single_switch", "rail", "fat_tree", "rail_only", "dragonfly_plus", "torus"};
constexpr std::string_view kScaleUpKinds[] = {"switch", "pcie", "none"};
constexpr std::string_view kPathChoices[] = {"hash", "static", "spray", "adaptive"};
constexpr std::string_view kServiceOrders[] = {"token", "weight"};
constexpr std::string_view kForwardings[] = {"pipelined", "store_and_forward"};
constexpr std::string_view kEngines[] = {"fluid", "simgrid", "message"};
constexpr std::string_view kPathPolicies[] = {"ecmp", "rail_aligned"};
constexpr std::string_view kStepKinds[] = {"moe_layers", "prefill", "decode", "train", "serving"};
constexpr std::string_view kRecompute[] = {"none", "selective", "full"};
constexpr std::string_view kOverlaps[] = {"none", "two_batch", "shared_expert", "dualpipe"};
constexpr std::string_view kSchedules[] = {"1f1b", "dualpipe"};
constexpr std::string_view kEvidence[] = {"measured", "interpolated", "extrapolated", "assumed"};

constexpr PresetTable kPresetTables[] = {{"model", "models"},
                                         {"cluster", "clusters"},
                                         {"routing", "routing"},
                                         {"calibration", "calibration"},
                                         {"price", "prices"}};

void gpu_fields(Fields& f, GpuSpec& g) {
  f.begin(required("gpu"));
  f.text(required("name"), g.name);
  f.positive(required("memory"), g.memory);
  f.positive(required("memory_bandwidth"), g.memory_bandwidth);
  f.positive(required("bf16_rate"), g.bf16_rate);
  f.positive(required("fp8_rate"), g.fp8_rate);
  f.count(required("sms"), g.sms, kTileEdge);
  f.end();
}

void cluster_fields(Fields& f, ClusterSpec& c) {
  f.begin(required("cluster"));
  f.text(required("name"), c.name);
  f.count(required("nodes"), c.nodes, kNodes);
  f.count(required("gpus_per_node"), c.gpus_per_node, kGpusPerNode);
  f.text(optional("graphml"), c.graphml);
  gpu_fields(f, c.gpu);

  f.begin(optional("scale_up"));  // what each kind needs is a check across keys
  f.word(optional("kind"), c.scale_up.kind, kScaleUpKinds);
  f.count(optional("nodes_per_domain"), c.scale_up.nodes_per_domain, kNodes);
  f.positive(optional("bandwidth"), c.scale_up.bandwidth);
  f.not_negative(optional("latency"), c.scale_up.latency);
  f.count(optional("gpus_per_switch"), c.scale_up.gpus_per_switch, kGpusPerNode);
  f.count(optional("sockets"), c.scale_up.sockets, {.min = 1, .max = 2});
  f.not_negative(optional("socket_bandwidth"), c.scale_up.socket_bandwidth);
  f.end();

  f.begin(optional("nic"));  // what a cluster with NICs needs is a check across keys
  f.count(optional("per_node"), c.nic.per_node, {.min = 0, .max = 1024});
  f.not_negative(optional("bandwidth"), c.nic.bandwidth);
  f.not_negative(optional("pcie_bandwidth"), c.nic.pcie_bandwidth);
  f.not_negative(optional("latency"), c.nic.latency);
  f.count(optional("ports"), c.nic.ports, {.min = 1, .max = 8});
  f.list(optional("speeds"), c.nic.speeds);
  f.end();

  f.begin(optional("fabric"));
  f.word(optional("kind"), c.fabric.kind, kFabricKinds);
  f.count(optional("nodes_per_leaf"), c.fabric.nodes_per_leaf, kNodes);
  f.number(optional("oversubscription"), c.fabric.oversubscription, NumberRange::kPositive);
  f.not_negative(optional("link_bandwidth"), c.fabric.link_bandwidth);
  f.not_negative(optional("hop_latency"), c.fabric.hop_latency);
  f.count(optional("tiers"), c.fabric.tiers, {.min = 2, .max = 3});
  f.count(optional("pods_per_block"), c.fabric.pods_per_block, kNodes);
  f.number(
      optional("core_oversubscription"), c.fabric.core_oversubscription, NumberRange::kPositive);
  f.count(optional("torus_x"), c.fabric.torus[0], kNodes);
  f.count(optional("torus_y"), c.fabric.torus[1], kNodes);
  f.count(optional("torus_z"), c.fabric.torus[2], kNodes);
  f.end();
  f.end();
}

void fault_fields(Fields& f, FaultSpec& faults) {
  f.begin(optional("faults"));
  f.list(optional("links"), faults.links);
  f.list(optional("nics"), faults.nics);
  f.list(optional("switches"), faults.switches);
  f.list(optional("gpus"), faults.gpus);
  f.list(optional("nodes"), faults.nodes);
  f.list(optional("background"), faults.background);
  f.number(optional("random_links"), faults.random_links, NumberRange::kShare);
  f.number(optional("random_nics"), faults.random_nics, NumberRange::kShare);
  f.number(optional("random_gpus"), faults.random_gpus, NumberRange::kShare);
  f.number(optional("random_remaining"), faults.random_remaining, NumberRange::kShare);
  f.count(optional("seed"), faults.seed, kMayBeZero);
  f.end();
}

void load_fields(Fields& f, Scenario& s) {
  f.begin(required("parallel"));
  f.count(required("ep"), s.parallel.ep, kAtLeastOne);
  f.count(optional("tp"), s.parallel.tp, kAtLeastOne);
  f.count(optional("pp"), s.parallel.pp, kLayers);
  f.count(optional("dp"), s.parallel.dp, kNodes);
  f.count(optional("virtual_stages"), s.parallel.virtual_stages, {.min = 1, .max = 1'000});
  f.end();

  f.begin(required("batch"));
  f.count(required("tokens_per_rank"), s.batch.tokens_per_rank, kAtLeastOne);
  f.count(optional("steps"), s.batch.steps, kAtLeastOne);
  f.count(optional("context_tokens"), s.batch.context_tokens, kMayBeZero);
  f.count(optional("micro_batches"), s.batch.micro_batches, {.min = 1, .max = 1'000'000});
  f.end();

  routing_fields(f, s.routing);
}

void policy_fields(Fields& f, Scenario& s) {
  f.begin(optional("capacity"));
  f.word(optional("policy"), s.capacity.policy, overflow_policy_words());
  f.number(optional("factor"), s.capacity.factor, NumberRange::kPositive);
  f.word(optional("scope"), s.capacity.scope, capacity_scope_words());
  f.word(optional("order"), s.capacity.order, kServiceOrders);
  f.count(optional("micro_batches"), s.capacity.micro_batches, kAtLeastOne);
  f.count(optional("tries"), s.capacity.tries, kMayBeZero);
  f.count(optional("sender_cap"), s.capacity.sender_cap, kMayBeZero);
  f.count(optional("receiver_cap"), s.capacity.receiver_cap, kMayBeZero);
  f.not_negative(optional("sender_bytes"), s.capacity.sender_bytes);
  f.not_negative(optional("receiver_bytes"), s.capacity.receiver_bytes);
  f.end();

  placement_fields(f, s.placement);

  f.begin(optional("dispatch"));
  f.word(optional("dispatcher"), s.dispatch.kind, kDispatcherNames);
  f.word(optional("forwarding"), s.dispatch.forwarding, kForwardings);
  f.flag(optional("scale_up"), s.dispatch.scale_up);
  f.count(optional("sms"), s.dispatch.sms, kTileEdge);
  f.count(optional("chunk_tokens"), s.dispatch.chunk_tokens, {.min = 0, .max = 65'536});
  f.count(optional("channels"), s.dispatch.channels, {.min = 0, .max = 1'024});
  f.flag(optional("pxn"), s.dispatch.pxn);
  f.flag(optional("notify"), s.dispatch.notify);
  f.end();

  f.begin(optional("network"));
  f.word(optional("engine"), s.network.engine, kEngines);
  f.number(optional("tolerance"), s.network.tolerance, NumberRange::kShare);
  f.not_negative(optional("chunk"), s.network.chunk);
  f.word(optional("paths"), s.network.paths, kPathPolicies);
  f.word(optional("path_choice"), s.network.spread.choice, kPathChoices);
  f.count(optional("max_paths"), s.network.spread.max_paths, {.min = 1, .max = 64});
  f.end();

  f.begin(optional("step"));
  f.word(optional("kind"), s.step.kind, kStepKinds);
  f.count(optional("layers"), s.step.layers, kMayBeZero);
  f.word(optional("overlap"), s.step.overlap, kOverlaps);
  f.count(optional("samples"), s.step.samples, {.min = 1, .max = 1'000});
  f.flag(optional("overlap_gradients"), s.step.overlap_gradients);
  f.word(optional("schedule"), s.step.schedule, kSchedules);
  f.not_negative(optional("host_layer"), s.step.host_layer);
  f.end();
}

void memory_fields(Fields& f, MemorySpec& m) {
  f.begin(optional("memory"));
  f.word(optional("kv_dtype"), m.kv_dtype, dtype_words());
  f.not_negative(optional("reserved"), m.reserved);
  f.word(optional("gradient_dtype"), m.gradient_dtype, dtype_words());
  f.count(optional("zero_stage"), m.zero_stage, {.min = 0, .max = 3});
  f.word(optional("recompute"), m.recompute, kRecompute);
  f.end();
}

void errors_fields(Fields& f, bool left_out, FitErrors& e) {
  f.count(optional(left_out ? "left_out_points" : "fitted_points"), e.points, kMayBeZero);
  f.number(optional(left_out ? "left_out_median" : "fitted_median"),
           e.median,
           NumberRange::kNotNegative);
  f.number(optional(left_out ? "left_out_p90" : "fitted_p90"), e.p90, NumberRange::kNotNegative);
  f.number(optional(left_out ? "left_out_bias" : "fitted_bias"), e.bias, NumberRange::kAny);
}

/// The ends of a range by their two names.
void range_fields(Fields& f, std::string_view min, std::string_view max, Covered& covered) {
  f.number(optional(min), covered.min, NumberRange::kNotNegative);
  f.number(optional(max), covered.max, NumberRange::kNotNegative);
}

void fit_fields(Fields& f, bool experts, FitRecord& r) {
  f.begin(optional(experts ? "expert_fit" : "communication_fit"));
  f.text(optional("kernel"), r.kernel);
  f.text(optional("source"), r.source);
  errors_fields(f, false, r.fitted);
  errors_fields(f, true, r.left_out);
  f.number(optional("spread_p10"), r.spread_p10, NumberRange::kPositive);
  f.number(optional("spread_p90"), r.spread_p90, NumberRange::kPositive);
  if (experts) {
    range_fields(f, "rows_min", "rows_max", r.rows);
    range_fields(f, "slots_min", "slots_max", r.slots);
    range_fields(f, "width_min", "width_max", r.width);
    f.list(optional("weight_dtypes"), r.weight_dtypes);
  } else {
    range_fields(f, "bytes_min", "bytes_max", r.rows);
    range_fields(f, "ranks_min", "ranks_max", r.slots);
    range_fields(f, "domains_min", "domains_max", r.width);
  }
  range_fields(f, "hidden_min", "hidden_max", r.hidden);
  f.end();
}

void dense_fields(Fields& f, std::string_view name, DenseKernels& d) {
  constexpr CountRange kNoTileOrEdge{.min = 0, .max = 65'536};
  f.begin(optional(name));
  f.not_negative(optional("kernel_launch"), d.kernel_launch);
  f.number(optional("gemm_efficiency"), d.gemm_efficiency, NumberRange::kShare);
  f.number(optional("memory_efficiency"), d.memory_efficiency, NumberRange::kShare);
  f.number(optional("gemm_overlap"), d.gemm_overlap, NumberRange::kShare);
  f.number(optional("tile_fetch_share"), d.tile_fetch_share, NumberRange::kShare);
  f.count(optional("tile_rows"), d.tile_rows, kNoTileOrEdge);
  f.count(optional("tile_columns"), d.tile_columns, kNoTileOrEdge);
  f.end();
}

void attention_kernel_fields(Fields& f, AttentionKernels& a) {
  f.begin(optional("attention"));
  f.number(optional("prefill_efficiency"), a.prefill_efficiency, NumberRange::kShare);
  f.number(optional("backward_efficiency"), a.backward_efficiency, NumberRange::kShare);
  f.number(optional("decode_efficiency"), a.decode_efficiency, NumberRange::kShare);
  f.number(optional("decode_memory_efficiency"), a.decode_memory_efficiency, NumberRange::kShare);
  f.end();
}

void calibration_fields(Fields& f, CostConstants& c) {
  f.begin(required("calibration"));
  f.text(required("source"), c.source);
  f.word(required("evidence"), c.evidence, kEvidence);
  f.not_negative(required("kernel_launch"), c.kernel_launch);
  f.number(required("gemm_efficiency"), c.gemm_efficiency, NumberRange::kFraction);
  f.count(required("tile_rows"), c.tile_rows, kTileEdge);
  f.count(required("tile_columns"), c.tile_columns, kTileEdge);
  f.number(required("memory_efficiency"), c.memory_efficiency, NumberRange::kFraction);
  f.number(required("scale_up_efficiency"), c.scale_up_efficiency, NumberRange::kFraction);
  f.number(required("scale_out_efficiency"), c.scale_out_efficiency, NumberRange::kFraction);
  f.not_negative(required("communication_start"), c.communication_start);
  f.not_negative(required("message_gap"), c.message_gap);
  f.text(optional("expert_kernel"), c.expert_kernel);
  f.text(optional("communication_kernel"), c.communication_kernel);
  f.number(optional("gemm_overlap"), c.gemm_overlap, NumberRange::kShare);
  f.number(optional("tile_fetch_share"), c.tile_fetch_share, NumberRange::kShare);
  f.flag(optional("expert_gather"), c.expert_gather);
  f.flag(optional("expert_return"), c.expert_return);
  f.not_negative(optional("expert_floor"), c.expert_floor);
  f.not_negative(optional("combine_extra_start"), c.combine_extra_start);
  f.not_negative(optional("message_overhead"), c.message_overhead);
  f.not_negative(optional("sm_copy_rate"), c.sm_copy_rate);
  f.not_negative(optional("combine_sm_copy_rate"), c.combine_sm_copy_rate);
  f.flag(optional("combine_sums"), c.combine_sums);
  fit_fields(f, true, c.expert_fit);
  fit_fields(f, false, c.communication_fit);
  dense_fields(f, "dense_bf16", c.dense_bf16);
  dense_fields(f, "dense_fp8", c.dense_fp8);
  attention_kernel_fields(f, c.attention);
  f.end();
}

}  // namespace

void visit_fields(FieldVisitor& visitor, Scenario& scenario) {
  Fields fields(visitor);
  fields.count(
      optional("seed"), scenario.seed, {.min = 0, .max = std::numeric_limits<std::int64_t>::max()});
  model_fields(fields, scenario.model);
  cluster_fields(fields, scenario.cluster);
  fault_fields(fields, scenario.faults);
  load_fields(fields, scenario);
  request_fields(fields, scenario.requests);
  policy_fields(fields, scenario);
  memory_fields(fields, scenario.memory);
  price_fields(fields, scenario.price);
  calibration_fields(fields, scenario.calibration);
}

std::span<const std::string_view> fabric_kind_words() {
  return kFabricKinds;
}

std::span<const std::string_view> step_kind_words() {
  return kStepKinds;
}

std::span<const std::string_view> overlap_words() {
  return kOverlaps;
}

std::span<const std::string_view> scale_up_kind_words() {
  return kScaleUpKinds;
}

std::span<const std::string_view> engine_words() {
  return kEngines;
}

std::span<const PresetTable> preset_tables() {
  return kPresetTables;
}

}  // namespace moesim
