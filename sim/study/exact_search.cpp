// SPDX-License-Identifier: Apache-2.0
#include "sim/study/exact_search.hpp"

#include <algorithm>
#include <cstddef>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

/// Goes through the slots one by one, like an odometer.
class Odometer {
 public:
  explicit Odometer(const PlacementSpace& space)
      : space_(space),
        slots_per_rank_(static_cast<std::size_t>(space.slots / space.ranks)),
        slots_(static_cast<std::size_t>(space.slots)) {}

  [[nodiscard]] const std::vector<ExpertId>& slots() const { return slots_; }
  [[nodiscard]] bool has_all_experts() const {
    std::vector<bool> seen(static_cast<std::size_t>(space_.experts));
    for (const ExpertId expert : slots_) {
      seen[expert.index()] = true;
    }
    return std::find(seen.begin(), seen.end(), false) == seen.end();
  }

  /// To the next placement; false after the last one.
  bool advance() {
    for (std::size_t s = slots_.size(); s-- > 0;) {
      if (slots_[s].value + 1 < space_.experts) {
        ++slots_[s].value;
        fill_from(s + 1);
        return true;
      }
    }
    return false;
  }

 private:
  /// The least experts from slot `first` on: the first of a rank 0, others as the one before.
  void fill_from(std::size_t first) {
    for (std::size_t s = first; s < slots_.size(); ++s) {
      slots_[s] = s % slots_per_rank_ == 0 ? ExpertId{0} : slots_[s - 1];
    }
  }

  PlacementSpace space_;
  std::size_t slots_per_rank_;
  std::vector<ExpertId> slots_;
};

}  // namespace

std::optional<std::int64_t> count_placements(const PlacementSpace& space, std::int64_t most) {
  MOESIM_CHECK(space.ranks > 0 && space.experts > 0 && space.slots % space.ranks == 0,
               "slots alike on ranks");
  const std::int64_t slots_per_rank = space.slots / space.ranks;
  std::int64_t of_rank = 1;
  for (std::int64_t i = 1; i <= slots_per_rank; ++i) {
    of_rank = of_rank * (space.experts + i - 1) / i;
    if (of_rank > most) {
      return std::nullopt;
    }
  }
  std::int64_t all = 1;
  for (int rank = 0; rank < space.ranks; ++rank) {
    if (all > most / of_rank) {
      return std::nullopt;
    }
    all *= of_rank;
  }
  return all;
}

void for_each_placement(const PlacementSpace& space,
                        const std::function<bool(const std::vector<ExpertId>&)>& visit) {
  MOESIM_CHECK(space.ranks > 0 && space.slots >= space.experts && space.slots % space.ranks == 0,
               "slots for every expert, alike on ranks");
  Odometer odometer(space);
  do {
    if (odometer.has_all_experts() && !visit(odometer.slots())) {
      return;
    }
  } while (odometer.advance());
}

}  // namespace moesim
