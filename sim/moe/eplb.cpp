// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/eplb.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"

namespace moesim {
namespace {

std::size_t positive(int count) {
  MOESIM_CHECK(count > 0, "a count is positive");
  return static_cast<std::size_t>(count);
}

/// One bin of a packing under way.
struct Bin {
  double weight = 0.0;
  std::vector<std::size_t> items;
};

/// Logical experts of each node, in the order in which their groups came.
std::vector<std::vector<std::size_t>> experts_of_nodes(std::span<const double> load,
                                                       std::size_t groups,
                                                       std::size_t nodes) {
  const std::size_t group_size = load.size() / groups;
  std::vector<double> group_load(groups);
  for (std::size_t e = 0; e < load.size(); ++e) {
    group_load[e / group_size] += load[e];
  }
  std::vector<std::vector<std::size_t>> experts;
  for (const std::vector<std::size_t>& of_node : pack_evenly(group_load, nodes)) {
    experts.emplace_back();
    for (const std::size_t group : of_node) {
      for (std::size_t i = 0; i < group_size; ++i) {
        experts.back().push_back(group * group_size + i);
      }
    }
  }
  return experts;
}

/// Replicates the experts of a node and appends its slots, rank by rank.
void place_node(std::span<const double> load,
                const std::vector<std::size_t>& experts,
                std::size_t slots,
                std::size_t ranks,
                std::vector<ExpertId>& expert_of_slot) {
  std::vector<double> weights;
  for (const std::size_t e : experts) {
    weights.push_back(load[e]);
  }
  const std::vector<std::size_t> physical = replicate(weights, slots);
  std::vector<double> copies(experts.size());
  for (const std::size_t e : physical) {
    copies[e] += 1.0;
  }
  std::vector<double> share;
  for (const std::size_t e : physical) {
    share.push_back(weights[e] / copies[e]);
  }
  for (const std::vector<std::size_t>& of_rank : pack_evenly(share, ranks)) {
    for (const std::size_t p : of_rank) {
      expert_of_slot.push_back(id_at<ExpertId>(experts[physical[p]]));
    }
  }
}

}  // namespace

std::vector<std::vector<std::size_t>> pack_evenly(std::span<const double> weights,
                                                  std::size_t bins) {
  MOESIM_CHECK(bins > 0 && weights.size() % bins == 0, "the bins divide the items");
  const std::size_t room = weights.size() / bins;
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<Bin> packed(bins);
  if (room > 1) {  // one item a bin: they stay in order
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      return weights[a] > weights[b];
    });
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    auto lightest = packed.end();
    for (auto bin = packed.begin(); bin != packed.end(); ++bin) {
      const bool open = bin->items.size() < room;
      if (open && (lightest == packed.end() || (room > 1 && bin->weight < lightest->weight))) {
        lightest = bin;
      }
    }
    lightest->weight += weights[order[i]];
    lightest->items.push_back(order[i]);
  }
  std::vector<std::vector<std::size_t>> items;
  for (Bin& bin : packed) {
    items.push_back(std::move(bin.items));
  }
  return items;
}

std::vector<std::size_t> replicate(std::span<const double> weights, std::size_t copies) {
  MOESIM_CHECK(!weights.empty() && copies >= weights.size(), "every item has a copy");
  std::vector<std::size_t> item_of_copy(weights.size());
  std::iota(item_of_copy.begin(), item_of_copy.end(), std::size_t{0});
  std::vector<double> count(weights.size(), 1.0);
  while (item_of_copy.size() < copies) {
    std::size_t heaviest = 0;
    for (std::size_t i = 1; i < weights.size(); ++i) {
      if (weights[i] / count[i] > weights[heaviest] / count[heaviest]) {
        heaviest = i;
      }
    }
    count[heaviest] += 1.0;
    item_of_copy.push_back(heaviest);
  }
  return item_of_copy;
}

Placement eplb_placement(std::span<const double> load, const EplbSize& size) {
  const std::size_t slots = positive(size.slots);
  const std::size_t ranks = positive(size.ranks);
  const std::size_t nodes = is_hierarchical(size) ? positive(size.nodes) : 1;
  const std::size_t groups = is_hierarchical(size) ? positive(size.groups) : 1;
  MOESIM_CHECK(!load.empty() && load.size() % groups == 0, "the groups divide the experts");
  MOESIM_CHECK(slots % ranks == 0 && slots >= load.size(),
               "slots for every expert, alike on ranks");
  MOESIM_CHECK(ranks % nodes == 0, "the nodes divide the ranks");
  std::vector<ExpertId> expert_of_slot;
  for (const std::vector<std::size_t>& experts : experts_of_nodes(load, groups, nodes)) {
    place_node(load, experts, slots / nodes, ranks / nodes, expert_of_slot);
  }
  return placement_from_slots(std::move(expert_of_slot), size.ranks);
}

Placement greedy_placement(std::span<const double> load, int num_ranks) {
  std::vector<ExpertId> expert_of_slot;
  for (const std::vector<std::size_t>& of_rank : pack_evenly(load, positive(num_ranks))) {
    for (const std::size_t e : of_rank) {
      expert_of_slot.push_back(id_at<ExpertId>(e));
    }
  }
  return placement_from_slots(std::move(expert_of_slot), num_ranks);
}

Placement random_placement(int num_experts, int num_ranks, std::uint64_t seed, int layer) {
  std::vector<ExpertId> expert_of_slot;
  for (int e = 0; e < num_experts; ++e) {
    expert_of_slot.push_back(ExpertId{e});
  }
  RngStream rng(seed, "random placement", static_cast<std::uint64_t>(layer));
  shuffle(std::span(expert_of_slot), rng);
  return placement_from_slots(std::move(expert_of_slot), num_ranks);
}

}  // namespace moesim
