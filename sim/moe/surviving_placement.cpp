// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/surviving_placement.hpp"

#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// Copies of each expert.
std::vector<int> copies_of(std::span<const double> load, int slots, int least) {
  std::vector<int> count(load.size(), least);
  const int spare = slots - least * static_cast<int>(load.size());
  for (int i = 0; i < spare; ++i) {
    std::size_t heaviest = 0;
    for (std::size_t e = 1; e < load.size(); ++e) {
      if (load[e] * count[heaviest] > load[heaviest] * count[e]) {
        heaviest = e;
      }
    }
    ++count[heaviest];
  }
  return count;
}

/// Ranks that fill up, copy by copy.
class Filling {
 public:
  Filling(std::size_t experts, std::size_t room, const std::vector<int>& node_of_rank, int least)
      : node_of_rank_(node_of_rank),
        room_(room),
        least_(least),
        on_rank_(node_of_rank.size()),
        load_(node_of_rank.size()),
        on_node_(experts) {
    const int nodes = 1 + *std::max_element(node_of_rank.begin(), node_of_rank.end());
    for (std::vector<int>& counts : on_node_) {
      counts.resize(static_cast<std::size_t>(nodes));
    }
  }

  /// Places one copy; false when there is no way.
  bool place(std::size_t expert, double share) {
    const bool bound = nodes_of(expert) < least_;
    const auto fits = [&](std::size_t rank) {
      return on_rank_[rank].size() < room_ && (!bound || !is_on_node(expert, rank));
    };
    if (const std::optional<std::size_t> rank = lightest(fits)) {
      put(expert, share, *rank);
      return true;
    }
    return bound && make_room(expert, share);
  }

  [[nodiscard]] std::vector<ExpertId> slots() const {
    std::vector<ExpertId> experts;
    for (const std::vector<Copy>& rank : on_rank_) {
      for (const Copy& copy : rank) {
        experts.push_back(id_at<ExpertId>(copy.expert));
      }
    }
    return experts;
  }

 private:
  struct Copy {
    std::size_t expert = 0;
    double share = 0.0;
  };

  [[nodiscard]] int& on_node(std::size_t expert, std::size_t rank) {
    return on_node_[expert][static_cast<std::size_t>(node_of_rank_[rank])];
  }
  [[nodiscard]] bool is_on_node(std::size_t expert, std::size_t rank) const {
    return on_node_[expert][static_cast<std::size_t>(node_of_rank_[rank])] > 0;
  }
  [[nodiscard]] int nodes_of(std::size_t expert) const {
    const std::vector<int>& counts = on_node_[expert];
    return static_cast<int>(
        std::count_if(counts.begin(), counts.end(), [](int count) { return count > 0; }));
  }

  template <typename Fits>
  [[nodiscard]] std::optional<std::size_t> lightest(const Fits& fits) const {
    std::optional<std::size_t> best;
    for (std::size_t rank = 0; rank < load_.size(); ++rank) {
      if (fits(rank) && (!best || load_[rank] < load_[*best])) {
        best = rank;
      }
    }
    return best;
  }

  void put(std::size_t expert, double share, std::size_t rank) {
    on_rank_[rank].push_back({expert, share});
    load_[rank] += share;
    ++on_node(expert, rank);
  }

  /// Moves a copy of another expert from a node without `expert` to a rank with room.
  bool make_room(std::size_t expert, double share) {
    const std::optional<std::size_t> open =
        lightest([&](std::size_t rank) { return on_rank_[rank].size() < room_; });
    if (!open) {
      return false;
    }
    for (std::size_t rank = 0; rank < on_rank_.size(); ++rank) {
      if (is_on_node(expert, rank)) {
        continue;
      }
      for (Copy& copy : on_rank_[rank]) {
        if (may_move(copy.expert, rank, *open)) {
          const Copy moved = copy;
          --on_node(moved.expert, rank);
          load_[rank] += share - moved.share;
          copy = {expert, share};
          ++on_node(expert, rank);
          put(moved.expert, moved.share, *open);
          return true;
        }
      }
    }
    return false;
  }

  /// Whether a copy that leaves `from` for `to` leaves its expert on as many nodes.
  [[nodiscard]] bool may_move(std::size_t expert, std::size_t from, std::size_t to) {
    return !is_on_node(expert, to) || on_node(expert, from) > 1 || nodes_of(expert) > least_;
  }

  const std::vector<int>& node_of_rank_;
  std::size_t room_;
  int least_;
  std::vector<std::vector<Copy>> on_rank_;
  std::vector<double> load_;
  std::vector<std::vector<int>> on_node_;  ///< [expert][node]
};

}  // namespace

std::optional<Placement> surviving_placement(std::span<const double> load,
                                             int slots,
                                             const std::vector<int>& node_of_rank,
                                             int copies) {
  const auto ranks = static_cast<int>(node_of_rank.size());
  MOESIM_CHECK(copies > 0 && ranks > 0 && slots % ranks == 0, "every rank has as many slots");
  MOESIM_CHECK(slots >= copies * static_cast<int>(load.size()) && !load.empty(),
               "every expert has its copies");
  const std::vector<int> count = copies_of(load, slots, copies);
  const auto share = [&](std::size_t e) { return load[e] / count[e]; };
  std::vector<std::size_t> order(load.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return share(a) > share(b);
  });
  Filling filling(load.size(), static_cast<std::size_t>(slots / ranks), node_of_rank, copies);
  for (const std::size_t expert : order) {
    for (int i = 0; i < count[expert]; ++i) {
      if (!filling.place(expert, share(expert))) {
        return std::nullopt;
      }
    }
  }
  return placement_from_slots(filling.slots(), ranks);
}

}  // namespace moesim
