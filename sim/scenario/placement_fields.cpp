// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/replica_names.hpp"
#include "sim/scenario/field_access.hpp"

namespace moesim {
namespace {

// Words stand in the order of the enumerators.
constexpr std::string_view kKinds[] = {
    "contiguous", "round_robin", "file", "random", "greedy", "eplb"};

}  // namespace

std::span<const std::string_view> placement_kind_words() {
  return kKinds;
}

std::span<const std::string_view> replica_choice_words() {
  return kReplicaChoiceNames;
}

void placement_fields(Fields& f, PlacementSpec& placement) {
  f.begin(optional("placement"));
  f.word(optional("kind"), placement.kind, kKinds);
  f.text(optional("file"), placement.file);
  f.word(optional("replica_choice"), placement.replicas.choice, kReplicaChoiceNames);
  f.number(optional("replica_limit"), placement.replicas.limit, NumberRange::kPositive);
  f.count(optional("slots"), placement.slots, {.min = 0, .max = 1'000'000});
  f.count(optional("groups"), placement.groups, {.min = 1, .max = 65'534});
  f.count(optional("train_first"), placement.train_first, {.min = 0});
  f.count(optional("train_steps"), placement.train_steps, {.min = 1});
  f.end();
}

}  // namespace moesim
