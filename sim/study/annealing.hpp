// SPDX-License-Identifier: Apache-2.0
// The annealing of one map; not for use outside sim/study.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "sim/core/rng.hpp"
#include "sim/study/placement_cost.hpp"
#include "sim/study/placement_search.hpp"
#include "sim/study/rank_levels.hpp"

namespace moesim {

/// Sums progress over the layers that run, and reports it.
class AnnealingProgress {
 public:
  AnnealingProgress(const SearchOptions& options, std::int64_t total);
  void start(double cost);
  void add(std::int64_t moves, double gain);

 private:
  const SearchOptions& options_;
  std::mutex mutex_;
  SearchProgress progress_;
};

/// One map under search, for one layer or for all: see optimise_placement.
class Annealing {
 public:
  /// @pre all layers have the same placement, which keeps options.survival
  /// @param stream  names the random stream   @param levels  outlives it
  Annealing(std::vector<PlacementCost>& layers,
            const SearchOptions& options,
            std::uint64_t stream,
            const RankLevels& levels);

  /// Whether the search went to its end. Leaves the layers at the last state, not the best.
  bool run(AnnealingProgress& progress);
  [[nodiscard]] std::int64_t moves() const { return moves_; }
  [[nodiscard]] const std::vector<ExpertId>& best_slots() const { return best_slots_; }

 private:
  [[nodiscard]] double objective() const;
  void keep();
  void cool(double done);
  [[nodiscard]] std::size_t rank_of(std::size_t slot) const;
  std::size_t draw_slot();
  std::size_t draw_other(std::size_t slot);
  std::vector<SlotChange> draw_move();
  [[nodiscard]] std::vector<SlotChange> exchange_ranks(std::size_t a, std::size_t b) const;
  [[nodiscard]] bool survives(const std::vector<SlotChange>& changes) const;
  void try_move();

  std::vector<PlacementCost>& layers_;
  const SearchOptions& options_;
  const RankLevels& levels_;
  RngStream rng_;
  std::size_t num_slots_;
  std::size_t num_experts_;
  double start_;
  double current_;
  double best_;
  double temperature_ = 0.0;
  std::int64_t moves_ = 0;
  std::vector<ExpertId> best_slots_;
};

/// Whether the search was told to end.
[[nodiscard]] bool is_stopped(const SearchOptions& options);

/// PlacementCost::objective, summed over layers.
[[nodiscard]] double search_objective(const std::vector<PlacementCost>& layers,
                                      const SearchOptions& options);

}  // namespace moesim
