// SPDX-License-Identifier: Apache-2.0
// Keys of [placement] that contradict others.
#include "sim/scenario/cross_checker.hpp"
#include "sim/scenario/fields.hpp"

namespace moesim {
namespace {

/// Keys that only some kinds look at.
void check_idle_keys(CrossChecker& c, const PlacementSpec& p, const std::string& kind) {
  const auto needs = [&](bool has_effect, std::string_view path, std::string_view what) {
    c.check(c.given(path) && !has_effect,
            path,
            {"placement.kind"},
            fmt::format("has no effect with {}; it needs {}", kind, what));
  };
  const bool eplb = p.kind == PlacementKind::kEplb;
  needs(eplb, "placement.slots", "eplb");
  needs(eplb, "placement.groups", "eplb");
  needs(is_trained(p.kind), "placement.train_first", "greedy or eplb");
  needs(is_trained(p.kind), "placement.train_steps", "greedy or eplb");
  const ReplicaChoice choice = p.replicas.choice;
  no_effect(c,
            choice != ReplicaChoice::kCapacityLimited,
            "placement.replica_limit",
            c.other("placement.replica_choice",
                    replica_choice_words()[static_cast<std::size_t>(choice)]) +
                "; it needs capacity_limited");
}

/// The slots that EPLB is given.
void check_slots(CrossChecker& c, const Scenario& s) {
  const PlacementSpec& p = s.placement;
  if (p.kind != PlacementKind::kEplb) {
    return;
  }
  const std::string experts = c.other("model.num_experts", s.model.num_experts);
  c.check(p.slots > 0 && p.slots < s.model.num_experts,
          "placement.slots",
          {"model.num_experts"},
          fmt::format("{} is less than {}", p.slots, experts));
  c.check(p.slots > 0 && s.parallel.ep > 0 && p.slots % s.parallel.ep != 0,
          "placement.slots",
          {"parallel.ep"},
          fmt::format("{} is no multiple of {}", p.slots, c.other("parallel.ep", s.parallel.ep)));
  c.check(s.model.num_experts % p.groups != 0,
          "placement.groups",
          {"model.num_experts"},
          fmt::format("{} does not divide {}", p.groups, experts));
}

}  // namespace

void check_placement(CrossChecker& c, const Scenario& s) {
  const PlacementSpec& p = s.placement;
  const bool from_file = p.kind == PlacementKind::kFile;
  const std::string kind =
      c.other("placement.kind", placement_kind_words()[static_cast<std::size_t>(p.kind)]);
  c.check(!from_file && !p.file.empty(),
          "placement.file",
          {"placement.kind"},
          fmt::format("has no effect with {}", kind));
  c.check(from_file && p.file.empty(),
          "placement.file",
          {"placement.kind"},
          fmt::format("missing, but needed by {}", kind));
  check_idle_keys(c, p, kind);
  check_slots(c, s);
}

}  // namespace moesim
