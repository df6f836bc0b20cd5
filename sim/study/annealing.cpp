// SPDX-License-Identifier: Apache-2.0
#include "sim/study/annealing.hpp"

#include <algorithm>

#include "sim/core/portable_math.hpp"

namespace moesim {
namespace {

constexpr double kHot = 3e-3;  // temperatures, parts of the cost of the start
constexpr double kCold = 1e-6;
constexpr std::int64_t kReportEvery = 2'000;
constexpr std::int64_t kCoolEvery = 64;
constexpr std::uint64_t kExchangeRanksOneIn = 64;

}  // namespace

AnnealingProgress::AnnealingProgress(const SearchOptions& options, std::int64_t total)
    : options_(options) {
  progress_.total = total;
}

void AnnealingProgress::start(double cost) {
  const std::lock_guard lock(mutex_);
  progress_.start += seconds(cost);
  progress_.best += seconds(cost);
}

void AnnealingProgress::add(std::int64_t moves, double gain) {
  const std::lock_guard lock(mutex_);
  progress_.moves += moves;
  progress_.best -= seconds(gain);
  if (options_.on_progress) {
    options_.on_progress(progress_);
  }
}

bool is_stopped(const SearchOptions& options) {
  return options.cancelled != nullptr && options.cancelled->load(std::memory_order_relaxed);
}

double search_objective(const std::vector<PlacementCost>& layers, const SearchOptions& options) {
  double sum = 0.0;
  for (const PlacementCost& layer : layers) {
    sum += layer.objective(options.tail).value;
  }
  return sum;
}

Annealing::Annealing(std::vector<PlacementCost>& layers,
                     const SearchOptions& options,
                     std::uint64_t stream,
                     const RankLevels& levels)
    : layers_(layers),
      options_(options),
      levels_(levels),
      rng_(options.seed, "placement search", stream),
      num_slots_(layers.front().expert_of_slot().size()),
      num_experts_(layers.front().num_experts()),
      start_(objective()),
      current_(start_),
      best_(start_) {
  keep();
}

bool Annealing::run(AnnealingProgress& progress) {
  progress.start(start_);
  double reported = start_;
  std::int64_t since = 0;
  const auto report = [&] {
    progress.add(since, reported - best_);
    reported = best_;
    since = 0;
  };
  const bool has_ranks = layers_.front().slots_per_rank() < num_slots_;  // else nothing can move
  for (std::int64_t i = 0; i < options_.moves; ++i) {
    if (is_stopped(options_)) {
      report();
      return false;
    }
    if (i % kCoolEvery == 0) {
      cool(static_cast<double>(i) / static_cast<double>(options_.moves));
    }
    if (has_ranks) {
      try_move();
    }
    ++moves_;
    if (++since == kReportEvery) {
      report();
    }
  }
  report();
  return true;
}

double Annealing::objective() const {
  return search_objective(layers_, options_);
}

void Annealing::keep() {
  best_slots_.clear();
  for (const std::size_t expert : layers_.front().expert_of_slot()) {
    best_slots_.push_back(id_at<ExpertId>(expert));
  }
}

void Annealing::cool(double done) {
  temperature_ = start_ * portable_exp(portable_log(kHot) + done * portable_log(kCold / kHot));
}

std::size_t Annealing::rank_of(std::size_t slot) const {
  return slot / layers_.front().slots_per_rank();
}

/// Every second one on the slowest rank of some layer and step.
std::size_t Annealing::draw_slot() {
  if (rng_.below(2) == 0) {
    return rng_.below(num_slots_);
  }
  const PlacementCost& layer = layers_[rng_.below(layers_.size())];
  const std::size_t rank = layer.slowest_rank(rng_.below(layer.steps()));
  return rank * layer.slots_per_rank() + rng_.below(layer.slots_per_rank());
}

/// Any slot, or one of a rank at a distance that is drawn first: there are more ranks far than
/// near.
std::size_t Annealing::draw_other(std::size_t slot) {
  const auto& levels = levels_[rank_of(slot)];
  if (levels.size() < 2 || rng_.below(2) == 0) {
    return rng_.below(num_slots_);
  }
  const std::vector<std::size_t>& ranks = levels[rng_.below(levels.size())];
  const std::size_t of_rank = layers_.front().slots_per_rank();
  return ranks[rng_.below(ranks.size())] * of_rank + rng_.below(of_rank);
}

std::vector<SlotChange> Annealing::exchange_ranks(std::size_t a, std::size_t b) const {
  const PlacementCost& layer = layers_.front();
  const std::span<const std::size_t> experts = layer.expert_of_slot();
  std::vector<SlotChange> changes;
  for (std::size_t i = 0; a != b && i < layer.slots_per_rank(); ++i) {
    const std::size_t in_a = a * layer.slots_per_rank() + i;
    const std::size_t in_b = b * layer.slots_per_rank() + i;
    if (experts[in_a] != experts[in_b]) {
      changes.push_back({in_a, experts[in_b]});
      changes.push_back({in_b, experts[in_a]});
    }
  }
  return changes;
}

/// Whether experts that lose a slot stay on enough nodes.
bool Annealing::survives(const std::vector<SlotChange>& changes) const {
  if (!options_.survival.is_asked()) {
    return true;
  }
  const PlacementCost& layer = layers_.front();
  return std::all_of(changes.begin(), changes.end(), [&](const SlotChange& lost) {
    const std::size_t expert = layer.expert_of_slot()[lost.slot];
    std::vector<std::size_t> ranks;
    for (const std::size_t slot : layer.slots_of(expert)) {
      if (std::none_of(changes.begin(), changes.end(), [&](const SlotChange& change) {
            return change.slot == slot;
          })) {
        ranks.push_back(rank_of(slot));
      }
    }
    for (const SlotChange& change : changes) {
      if (change.expert == expert) {
        ranks.push_back(rank_of(change.slot));
      }
    }
    return options_.survival.is_kept_by(ranks);
  });
}

/// Two changes, one, those of two whole ranks, or none where the draw makes no move.
std::vector<SlotChange> Annealing::draw_move() {
  const PlacementCost& layer = layers_.front();
  const std::span<const std::size_t> experts = layer.expert_of_slot();
  const std::size_t slot = draw_slot();
  if (rng_.below(kExchangeRanksOneIn) == 0) {
    return exchange_ranks(rank_of(slot), rank_of(draw_other(slot)));
  }
  const bool spare = layer.slots_of(experts[slot]).size() > 1;
  if (spare && rng_.below(2) == 0) {
    const std::size_t expert = rng_.below(num_experts_);
    if (expert == experts[slot]) {
      return {};
    }
    return {{slot, expert}};
  }
  const std::size_t other = draw_other(slot);
  if (rank_of(slot) == rank_of(other) || experts[slot] == experts[other]) {
    return {};
  }
  if (layer.slots_of(experts[other]).size() > 1 && rng_.below(4) == 0) {
    return {{slot, rng_.below(num_experts_)}, {other, experts[slot]}};
  }
  return {{slot, experts[other]}, {other, experts[slot]}};
}

void Annealing::try_move() {
  const std::vector<SlotChange> changes = draw_move();
  if (changes.empty() || !survives(changes)) {
    return;
  }
  for (PlacementCost& layer : layers_) {
    layer.change(changes);
  }
  const double cost = objective();
  const double increase = cost - current_;
  if (increase <= 0 || rng_.uniform01() < portable_exp(-increase / temperature_)) {
    current_ = cost;
    if (cost < best_) {
      best_ = cost;
      keep();
    }
    return;
  }
  for (PlacementCost& layer : layers_) {
    layer.undo();
  }
}

}  // namespace moesim
