// SPDX-License-Identifier: Apache-2.0
#include "sim/study/wave_bound.hpp"

#include <algorithm>
#include <utility>

#include "sim/core/portable_math.hpp"

namespace moesim {
namespace {

constexpr double kGrid = 0.0005;     // logarithm of a step
constexpr int kFirstStep = 64;       // of the grid
constexpr std::int64_t kEach = 128;  // numbers of tiles looked at one by one; then 1 in 50
constexpr std::int64_t kOneIn = 50;

std::vector<std::int64_t> numbers_up_to(std::int64_t last) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t n = 1; n < last; n += n < kEach ? 1 : n / kOneIn) {
    numbers.push_back(n);
  }
  numbers.push_back(last);
  return numbers;
}

}  // namespace

double ArrivalTime::least(std::int64_t rows) const {
  const auto all = static_cast<double>(rows);
  const double foreign = all - std::min(own, own_part * (all + own_rounding) + own_slots);
  return per_copy * std::max({0.0, foreign / shared_by, foreign - shared_pairs});
}

WaveBound::WaveBound(const RankFloor& floor, RankRoom room, std::int64_t most_rows)
    : floor_(floor), room_(room) {
  for (std::size_t size = 0; size < floor.tile_rows().size(); ++size) {
    const std::int64_t most = most_rows / floor.tile_rows()[size] + room.slots_per_rank;
    tiles_.push_back(numbers_up_to(most));
    std::vector<States>& of_size = states_.emplace_back();
    for (std::int64_t active = 1; active <= room.slots_per_rank; ++active) {
      States states{.active = active, .seconds = {}};
      for (const std::int64_t tiles : tiles_.back()) {
        states.seconds.push_back(time_of(size, std::max(tiles, active), active));
      }
      of_size.push_back(std::move(states));
    }
  }
}

double WaveBound::time_of(std::size_t size, std::int64_t tiles, std::int64_t active) const {
  return floor_.least({.size = size, .tiles = tiles, .active = active}).value / room_.speed;
}

/// 0 where even one tile a slot takes longer.
std::int64_t WaveBound::most_tiles(std::size_t size,
                                   std::int64_t active,
                                   double time,
                                   const ArrivalTime& arrivals) const {
  const std::vector<std::int64_t>& tiles = tiles_[size];
  const States& states = states_[size][static_cast<std::size_t>(active - 1)];
  std::size_t fits = 0;  // numbers of tiles within the time
  std::size_t high = tiles.size();
  while (fits < high) {
    const std::size_t middle = (fits + high) / 2;
    const std::int64_t n = std::max(tiles[middle], active);
    const double arriving =
        arrivals.least(floor_.least_rows({.size = size, .tiles = n, .active = active}));
    const bool is_within = states.seconds[middle] + arriving <= time;
    (is_within ? fits : high) = is_within ? middle + 1 : middle;
  }
  if (fits == 0) {
    return 0;
  }
  // What lies between two numbers looked at may take no more than the first of them.
  return std::max(active, fits < tiles.size() ? tiles[fits] - 1 : tiles.back());
}

/// Of what a rank holds within the time, [height][active - 1].
PiecePrices WaveBound::shares_of_rank(const std::vector<std::vector<std::int64_t>>& most,
                                      double slot) const {
  PiecePrices prices{.tile = std::vector<double>(most.size(), kInfinite), .slot = slot};
  for (std::size_t size = 0; size < most.size(); ++size) {
    for (std::size_t i = 0; i < most[size].size(); ++i) {
      if (most[size][i] > 0) {
        const double left = std::max(0.0, 1.0 - slot * static_cast<double>(i + 1));
        prices.tile[size] = std::min(prices.tile[size], left / static_cast<double>(most[size][i]));
      }
    }
  }
  return prices;
}

bool WaveBound::is_enough(double time,
                          const SlotPieces& pieces,
                          const ArrivalTime& arrivals) const {
  std::vector<std::vector<std::int64_t>> most(tiles_.size());
  std::int64_t most_active = 0;
  for (std::size_t size = 0; size < tiles_.size(); ++size) {
    for (std::int64_t active = 1; active <= room_.slots_per_rank; ++active) {
      most[size].push_back(most_tiles(size, active, time, arrivals));
      most_active = most[size].back() > 0 ? std::max(most_active, active) : most_active;
    }
  }
  if (most_active == 0) {
    return false;
  }
  for (const double part : {0.0, 0.5, 1.0}) {
    if (pieces.overfill(room_.ranks,
                        shares_of_rank(most, part / static_cast<double>(most_active)))) {
      return false;
    }
  }
  return true;
}

double WaveBound::slowest(const SlotPieces& pieces, const ArrivalTime& arrivals) const {
  if (pieces.rows() == 0) {
    return 0.0;
  }
  double first = kInfinite;
  for (std::size_t size = 0; size < tiles_.size(); ++size) {
    first = std::min(first, time_of(size, 1, 1));
  }
  const auto at = [&](int step) { return first * portable_exp(kGrid * step); };
  // Some rank takes as long as the mean.
  int low = static_cast<int>(portable_log(std::max(1.0, mean(pieces) / first)) / kGrid);
  int step = kFirstStep;
  int high = low + step;
  while (!is_enough(at(high), pieces, arrivals)) {
    low = high;
    step *= 2;
    high = low + step;
  }
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (is_enough(at(middle), pieces, arrivals) ? high : low) = middle;
  }
  return at(low);
}

/// The steepest prices below f - start.
PiecePrices WaveBound::line(double start, double slot_part) const {
  PiecePrices prices{.tile = {}, .slot = kInfinite};
  for (std::size_t size = 0; size < tiles_.size(); ++size) {
    for (std::int64_t active = 1; active <= room_.slots_per_rank; ++active) {
      const double least = time_of(size, active, active) - start;
      prices.slot = std::min(prices.slot, least / static_cast<double>(active));
    }
  }
  prices.slot *= slot_part;
  for (std::size_t size = 0; size < tiles_.size(); ++size) {
    double tile = kInfinite;
    const std::vector<std::int64_t>& tiles = tiles_[size];
    for (const States& states : states_[size]) {
      for (std::size_t i = 0; i < tiles.size(); ++i) {
        const std::int64_t last = i + 1 < tiles.size() ? tiles[i + 1] - 1 : tiles[i];
        if (last >= states.active) {
          const double left =
              states.seconds[i] - start - prices.slot * static_cast<double>(states.active);
          tile = std::min(tile, left / static_cast<double>(last));
        }
      }
    }
    prices.tile.push_back(std::max(0.0, tile));
  }
  return prices;
}

double WaveBound::mean(const SlotPieces& pieces) const {
  if (pieces.rows() == 0) {
    return 0.0;
  }
  const std::int64_t busy = (pieces.active() + room_.slots_per_rank - 1) / room_.slots_per_rank;
  double first = kInfinite;
  for (std::size_t size = 0; size < tiles_.size(); ++size) {
    first = std::min(first, time_of(size, 1, 1));
  }
  double best = 0.0;
  for (const double part : {0.0, 0.3, 0.6, 0.9}) {
    for (const double slot_part : {0.0, 0.3, 0.6, 1.0}) {
      const PiecePrices prices = line(part * first, slot_part);
      best = std::max(
          best, (part * first * static_cast<double>(busy) + pieces.least(prices)) / room_.ranks);
    }
  }
  return best;
}

}  // namespace moesim
