// SPDX-License-Identifier: Apache-2.0
#include "sim/scenario/cross_checks.hpp"

#include <limits>
#include <utility>

#include "sim/core/text.hpp"
#include "sim/core/unit_text.hpp"
#include "sim/scenario/cross_checker.hpp"
#include "sim/scenario/fields.hpp"

namespace moesim {
namespace {

void check_layout(CrossChecker& c, const Scenario& s) {
  const int ep = s.parallel.ep;
  const bool slots_are_given = s.placement.kind == PlacementKind::kFile ||
                               (s.placement.kind == PlacementKind::kEplb && s.placement.slots > 0);
  c.check(
      ep > 0 && s.model.num_experts % ep != 0 && !slots_are_given,
      "parallel.ep",
      {"model.num_experts"},
      fmt::format("{} does not divide {}", ep, c.other("model.num_experts", s.model.num_experts)));
  const std::int64_t gpus = std::int64_t{s.cluster.nodes} * s.cluster.gpus_per_node;
  c.check(ep > gpus,
          "parallel.ep",
          {"cluster.nodes", "cluster.gpus_per_node"},
          fmt::format("{} ranks do not fit {} GPUs: {}, {}",
                      ep,
                      gpus,
                      c.other("cluster.nodes", s.cluster.nodes),
                      c.other("cluster.gpus_per_node", s.cluster.gpus_per_node)));
  const std::int64_t tokens = std::int64_t{ep} * s.batch.tokens_per_rank;
  c.check(tokens > std::numeric_limits<std::int32_t>::max(),
          "batch.tokens_per_rank",
          {"parallel.ep"},
          fmt::format("{} on each of {} are {} tokens a step; at most {} are supported",
                      s.batch.tokens_per_rank,
                      c.other("parallel.ep", ep),
                      tokens,
                      std::numeric_limits<std::int32_t>::max()));
  c.check(
      s.step.layers > s.model.moe_layers,
      "step.layers",
      {"model.moe_layers"},
      fmt::format(
          "{} is more than {}", s.step.layers, c.other("model.moe_layers", s.model.moe_layers)));
}

/// Caps that the policy does not look at, or that are stated twice.
void check_caps(CrossChecker& c, const CapacitySpec& k) {
  const std::string policy = c.other("capacity.policy", to_text(k.policy));
  const auto idle = [&](std::string_view path, bool given, const std::string& value) {
    c.check(
        given && !moves_on(k.policy) && k.policy != OverflowPolicy::kDrop,
        path,
        {"capacity.policy"},
        fmt::format(
            "{} has no effect with {}; it needs drop, spill, next_best or replica", value, policy));
  };
  const auto cap =
      [&](std::string_view rows_path, std::int64_t rows, std::string_view bytes_path, Bytes bytes) {
        idle(rows_path, rows > 0, fmt::format("{}", rows));
        idle(bytes_path, bytes.value > 0.0, to_text(bytes));
        c.check(rows > 0 && bytes.value > 0.0,
                bytes_path,
                {rows_path},
                fmt::format("the cap is already {}; keep one", c.other(rows_path, rows)));
      };
  cap("capacity.sender_cap", k.sender_cap, "capacity.sender_bytes", k.sender_bytes);
  cap("capacity.receiver_cap", k.receiver_cap, "capacity.receiver_bytes", k.receiver_bytes);
}

/// Keys of [capacity] that the policy leaves without effect.
void check_capacity(CrossChecker& c, const Scenario& s) {
  const CapacitySpec& k = s.capacity;
  const std::string policy = c.other("capacity.policy", to_text(k.policy));
  const bool none = k.policy == OverflowPolicy::kNone;
  const bool moves = moves_on(k.policy);
  const auto idle = [&](std::string_view path, bool broken, const std::string& text) {
    c.check(c.given(path) && broken, path, {"capacity.policy"}, text);
  };
  idle("capacity.factor", none, fmt::format("{} has no effect with {}", k.factor, policy));
  idle("capacity.order",
       none || k.policy == OverflowPolicy::kExpertChoice,
       fmt::format("has no effect with {}", policy));
  idle("capacity.tries",
       !moves,
       fmt::format(
           "{} has no effect with {}; it needs spill, next_best or replica", k.tries, policy));
  check_caps(c, k);
  c.check(k.micro_batches > s.batch.tokens_per_rank,
          "capacity.micro_batches",
          {"batch.tokens_per_rank"},
          fmt::format("{} is more than {}",
                      k.micro_batches,
                      c.other("batch.tokens_per_rank", s.batch.tokens_per_rank)));
  c.check(k.scope == CapacityScope::kMicroBatch && k.micro_batches < 2,
          "capacity.scope",
          {"capacity.micro_batches"},
          fmt::format("micro_batch is rank with {}; set it to 2 or more",
                      c.other("capacity.micro_batches", k.micro_batches)));
}

/// Static shapes exist where each source knows its own share of a slot.
void check_padded(CrossChecker& c, const Scenario& s) {
  const bool pads = s.capacity.policy == OverflowPolicy::kPad;
  const std::string policy = c.other("capacity.policy", "pad");
  const CapacityScope scope = s.capacity.scope;
  c.check(pads && (scope == CapacityScope::kGroup || scope == CapacityScope::kGlobal),
          "capacity.scope",
          {"capacity.policy"},
          fmt::format("{} pools the ranks, but {} needs a share of each; use rank or micro_batch",
                      to_text(scope),
                      policy));
  c.check(
      pads && !sends_padded_shapes(s.dispatch.kind),
      "dispatch.dispatcher",
      {"capacity.policy"},
      fmt::format("it sends no padded shapes, as {} needs; use pairwise, low_latency, one_sided "
                  "or two_sided",
                  policy));
}

/// Keys that only some dispatchers look at.
void check_dispatch_keys(CrossChecker& c, const Scenario& s, const std::string& dispatcher) {
  const DispatcherKind kind = s.dispatch.kind;
  const auto needs = [&](bool has_effect, std::string_view path, std::string_view what) {
    c.check(c.given(path) && !has_effect,
            path,
            {"dispatch.dispatcher"},
            fmt::format("has no effect with {}; it needs {}", dispatcher, what));
  };
  constexpr std::string_view kRelays = "hierarchical, hybrid_ep or all_gather";
  needs(has_relays(kind), "dispatch.forwarding", kRelays);
  needs(has_relays(kind), "dispatch.chunk_tokens", kRelays);
  needs(kind == DispatcherKind::kNccl, "dispatch.channels", "nccl");
  needs(kind == DispatcherKind::kNccl, "dispatch.pxn", "nccl");
  c.check(
      c.given("dispatch.chunk_tokens") && has_relays(kind) &&
          s.dispatch.forwarding == Forwarding::kStoreAndForward,
      "dispatch.chunk_tokens",
      {"dispatch.forwarding"},
      fmt::format("has no effect with {}", c.other("dispatch.forwarding", "store_and_forward")));
  c.check(s.dispatch.notify && !has_notify(kind),
          "dispatch.notify",
          {"dispatch.dispatcher"},
          fmt::format("true does not go with {}, which exchanges no counts", dispatcher));
  c.check(c.given("dispatch.sms") && s.dispatch.sms > s.cluster.gpu.sms,
          "dispatch.sms",
          {"cluster.gpu.sms"},
          fmt::format(
              "{} is more than {}", s.dispatch.sms, c.other("cluster.gpu.sms", s.cluster.gpu.sms)));
}

/// What a dispatcher asks of the scale-up domains.
void check_dispatch_domains(CrossChecker& c, const Scenario& s, const std::string& dispatcher) {
  const DispatcherKind kind = s.dispatch.kind;
  const std::int64_t domain = domain_size(s.cluster);
  const bool from_file = !s.cluster.graphml.empty();  // then assemble() looks at the graph
  const bool spans_domains = !from_file && domain > 0 && s.parallel.ep > domain;
  c.check(needs_whole_domains(kind) && spans_domains && s.parallel.ep % domain != 0,
          "parallel.ep",
          {"dispatch.dispatcher", "cluster.gpus_per_node", "cluster.scale_up.nodes_per_domain"},
          fmt::format("{} does not fill whole scale-up domains of {} GPUs, as {} needs",
                      s.parallel.ep,
                      domain,
                      dispatcher));
  c.check(needs_one_domain(kind) && spans_domains,
          "parallel.ep",
          {"dispatch.dispatcher", "cluster.gpus_per_node", "cluster.scale_up.nodes_per_domain"},
          fmt::format("{} ranks do not fit one scale-up domain of {} GPUs, which {} cannot leave",
                      s.parallel.ep,
                      domain,
                      dispatcher));
}

void check_dispatch(CrossChecker& c, const Scenario& s) {
  const DispatcherKind kind = s.dispatch.kind;
  const std::string dispatcher = c.other("dispatch.dispatcher", dispatcher_name(kind));
  c.check(!s.dispatch.scale_up && kind != DispatcherKind::kLowLatency,
          "dispatch.scale_up",
          {"dispatch.dispatcher"},
          fmt::format("false does not go with {}; it needs low_latency", dispatcher));
  c.check(!s.dispatch.scale_up && s.cluster.nic.per_node == 0 && s.cluster.graphml.empty(),
          "dispatch.scale_up",
          {"cluster.nic.per_node"},
          fmt::format("false sends through NICs, but {}",
                      c.other("cluster.nic.per_node", s.cluster.nic.per_node)));
  const PathChoice choice = s.network.spread.choice;
  no_effect(c,
            choice != PathChoice::kSpray && choice != PathChoice::kAdaptive,
            "network.max_paths",
            c.other("network.path_choice", choice == PathChoice::kHash ? "hash" : "static") +
                "; it needs spray or adaptive");
  check_dispatch_keys(c, s, dispatcher);
  check_dispatch_domains(c, s, dispatcher);
}

void check_engine(CrossChecker& c, const NetworkSpec& n) {
  const std::string engine =
      c.other("network.engine", engine_words()[static_cast<std::size_t>(n.engine)]);
  no_effect(c, n.engine != NetworkEngine::kFluid, "network.tolerance", engine + "; it needs fluid");
  no_effect(c, n.engine != NetworkEngine::kMessage, "network.chunk", engine + "; it needs message");
  constexpr Bytes kLeastChunk{256.0};
  c.check(n.chunk.value > 0.0 && n.chunk < kLeastChunk,
          "network.chunk",
          {},
          fmt::format("{} is less than {}, the smallest packet of InfiniBand; 0 B sends whole "
                      "messages",
                      to_text(n.chunk),
                      to_text(kLeastChunk)));
}

}  // namespace

bool is_dense(const ConfigTree& tree, const Scenario& scenario) {
  return scenario.model.moe_layers == 0 && tree.find("model.moe_layers") != nullptr;
}

std::vector<Diagnostic> cross_checks(const ConfigTree& tree, const FieldReading& reading) {
  CrossChecker checker(tree, reading);
  const Scenario& scenario = reading.scenario;
  check_model(checker, scenario.model);
  check_cluster_keys(checker, scenario);
  check_layout(checker, scenario);
  check_step(checker, scenario);
  check_requests(checker, scenario);
  check_price(checker, scenario);
  if (is_dense(tree, scenario)) {
    return std::move(checker.found);  // what follows is about experts
  }
  check_capacity(checker, scenario);
  check_padded(checker, scenario);
  check_placement(checker, scenario);
  check_dispatch(checker, scenario);
  check_engine(checker, scenario.network);
  check_routing(checker, scenario);
  return std::move(checker.found);
}

}  // namespace moesim
