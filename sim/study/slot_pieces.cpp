// SPDX-License-Identifier: Apache-2.0
#include "sim/study/slot_pieces.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim {
namespace {

constexpr double kRounding = 1e-9;
constexpr std::size_t kMostChoices = 2'000;

std::int64_t blocks(std::int64_t rows, std::int64_t height) {
  return (rows + height - 1) / height;
}

}  // namespace

std::vector<std::int64_t> even_rows(std::span<const std::int32_t> by_source, std::size_t replicas) {
  std::vector<std::int64_t> rows(replicas);
  std::int64_t rounds = 0;  // that every replica takes part in
  for (std::size_t source = 0; source < by_source.size(); ++source) {
    const auto count = static_cast<std::size_t>(by_source[source]);
    rounds += static_cast<std::int64_t>(count / replicas);
    for (std::size_t turn = 0; turn < count % replicas; ++turn) {
      ++rows[(source + turn) % replicas];
    }
  }
  for (std::int64_t& of_replica : rows) {
    of_replica += rounds;
  }
  return rows;
}

SlotPieces::SlotPieces(const ExpertTraffic& traffic,
                       int step,
                       int slots,
                       RowSharing sharing,
                       std::vector<std::int64_t> tile_rows)
    : tile_rows_(std::move(tile_rows)),
      sharing_(sharing),
      spare_(static_cast<std::size_t>(slots - traffic.experts)) {
  MOESIM_CHECK(slots >= traffic.experts, "a slot for every expert");
  for (std::size_t e = 0; e < static_cast<std::size_t>(traffic.experts); ++e) {
    const auto counts = traffic.of(step, e);
    loads_.push_back(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
    all_ += loads_.back();
    active_ += loads_.back() > 0 ? 1 : 0;
    if (sharing_ == RowSharing::kAny) {
      continue;
    }
    std::vector<std::vector<Alike>>& of_expert = by_slots_.emplace_back();
    for (std::size_t replicas = 1; replicas <= spare_ + 1; ++replicas) {
      std::vector<std::int64_t> rows = even_rows(counts, replicas);
      std::sort(rows.begin(), rows.end());
      std::vector<Alike>& alike = of_expert.emplace_back();
      for (const std::int64_t of_slot : rows) {
        if (alike.empty() || alike.back().rows != of_slot) {
          alike.push_back({of_slot, 0});
        }
        ++alike.back().slots;
      }
    }
  }
}

double SlotPieces::price(std::int64_t rows, const PiecePrices& prices) const {
  if (rows == 0) {
    return 0.0;
  }
  double tiles = kInfinite;
  for (std::size_t t = 0; t < tile_rows_.size(); ++t) {
    tiles = std::min(tiles, prices.tile[t] * static_cast<double>(blocks(rows, tile_rows_[t])));
  }
  return prices.slot + tiles;
}

double SlotPieces::least(const PiecePrices& prices) const {
  return sharing_ == RowSharing::kEven ? least_of_choices(costs_of_experts(prices), spare_)
                                       : least_any(prices);
}

std::vector<std::vector<double>> SlotPieces::costs_of_experts(const PiecePrices& prices) const {
  std::vector<std::vector<double>> costs(by_slots_.size());
  for (std::size_t e = 0; e < by_slots_.size(); ++e) {
    for (const std::vector<Alike>& alike_ones : by_slots_[e]) {
      double sum = 0.0;
      for (const Alike& alike : alike_ones) {
        sum += alike.slots * price(alike.rows, prices);
      }
      costs[e].push_back(sum);
    }
  }
  return costs;
}

SlotChoices SlotPieces::choices(const PiecePrices& prices) const {
  SlotChoices choices(by_slots_.size());
  for (std::size_t e = 0; e < by_slots_.size(); ++e) {
    for (const std::vector<Alike>& alike_ones : by_slots_[e]) {
      std::vector<PartsAlike>& parts = choices[e].emplace_back();
      for (const Alike& alike : alike_ones) {
        parts.push_back({price(alike.rows, prices), alike.slots});
      }
    }
  }
  return choices;
}

bool SlotPieces::overfill(int ranks, const PiecePrices& prices) const {
  if (least(prices) > ranks * (1.0 + kRounding)) {
    return true;
  }
  const auto slots = by_slots_.size() + spare_;
  return sharing_ == RowSharing::kEven && by_slots_.size() * (spare_ + 1) <= kMostChoices &&
         cannot_fit(choices(prices),
                    {.ranks = ranks,
                     .slots_per_rank = static_cast<int>(slots) / ranks,
                     .spare = static_cast<int>(spare_)});
}

double SlotPieces::least_any(const PiecePrices& prices) const {
  std::int64_t unit = 0;
  for (const std::int64_t height : tile_rows_) {
    unit = std::gcd(unit, height);
  }
  const std::int64_t most = loads_.empty() ? 0 : *std::max_element(loads_.begin(), loads_.end());
  std::vector<double> cover(static_cast<std::size_t>(blocks(most, unit)) + 1, kInfinite);
  cover[0] = 0.0;
  for (std::size_t i = 1; i < cover.size(); ++i) {
    for (std::size_t t = 0; t < tile_rows_.size(); ++t) {
      const auto held = static_cast<std::size_t>(tile_rows_[t] / unit);
      cover[i] = std::min(cover[i], cover[i - std::min(i, held)] + prices.tile[t]);
    }
  }
  double sum = 0.0;
  for (const std::int64_t rows : loads_) {
    sum += rows > 0 ? prices.slot + cover[static_cast<std::size_t>(blocks(rows, unit))] : 0.0;
  }
  return sum;
}

}  // namespace moesim
