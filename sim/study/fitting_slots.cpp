// SPDX-License-Identifier: Apache-2.0
#include "sim/study/fitting_slots.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>
#include <utility>

namespace moesim {
namespace {

constexpr double kRounding = 1e-9;
constexpr int kMostTried = 20'000;
constexpr std::array<double, 6> kThresholds = {
    0.0, 1.0 / 2, 2.0 / 5, 1.0 / 3, 1.0 / 4, 1.0 / 5};  // 0: as they are

using Costs = std::vector<std::vector<double>>;  // [expert][its slots - 1]

double under(double part, double threshold) {
  const double surely = part - kRounding;
  if (surely > 1.0) {
    return kInfinite;
  }
  if (threshold == 0.0) {
    return part;
  }
  return surely > 1.0 - threshold ? 1.0 : surely < threshold ? 0.0 : surely;
}

Costs costs_under(const SlotChoices& choices, double threshold) {
  Costs costs;
  for (const auto& of_expert : choices) {
    std::vector<double>& of_slots = costs.emplace_back();
    for (const std::vector<PartsAlike>& parts : of_expert) {
      double sum = 0.0;
      for (const PartsAlike& alike : parts) {
        sum += alike.slots * under(alike.part, threshold);
      }
      of_slots.push_back(sum);
    }
  }
  return costs;
}

/// By spare slots used: the least of all experts together, one more expert.
std::vector<double> with_expert(const std::vector<double>& least, const std::vector<double>& cost) {
  std::vector<double> next(least.size(), kInfinite);
  for (std::size_t more = 0; more < least.size(); ++more) {
    for (std::size_t used = more; used < least.size(); ++used) {
      next[used] = std::min(next[used], least[used - more] + cost[more]);
    }
  }
  return next;
}

std::vector<double> no_expert(std::size_t spare) {
  std::vector<double> least(spare + 1, kInfinite);
  least[0] = 0.0;
  return least;
}

class Fitting {
 public:
  Fitting(SlotChoices choices, const FitRoom& room)
      : choices_(std::move(choices)), room_(room), chosen_(choices_.size()) {
    const auto largest = [](const auto& of_expert) {
      return std::accumulate(
          of_expert.front().begin(), of_expert.front().end(), 0.0, [](double sum, const auto& a) {
            return sum + a.slots * a.part;
          });
    };
    std::stable_sort(choices_.begin(), choices_.end(), [&](const auto& a, const auto& b) {
      return largest(a) > largest(b);
    });
    for (std::size_t j = 0; j < kThresholds.size(); ++j) {
      costs_[j] = costs_under(choices_, kThresholds[j]);
      rest_[j] = {no_expert(static_cast<std::size_t>(room.spare))};
      for (std::size_t e = choices_.size(); e-- > 0;) {
        rest_[j].push_back(with_expert(rest_[j].back(), costs_[j][e]));
      }
    }
  }

  [[nodiscard]] bool is_impossible() { return !fits(0, static_cast<std::size_t>(room_.spare), {}); }

 private:
  using Sums = std::array<double, kThresholds.size()>;

  /// Whether experts from e on with so many spare slots may fit beside the sums.
  bool fits(std::size_t e, std::size_t spare, const Sums& sums) {
    if (e == choices_.size()) {
      return pair();
    }
    for (std::size_t more = 0; more <= spare; ++more) {
      if (++tried_ > kMostTried) {
        return true;
      }
      Sums next = sums;
      bool is_within = true;
      for (std::size_t j = 0; j < next.size() && is_within; ++j) {
        next[j] += costs_[j][e][more];
        const double rest = rest_[j][choices_.size() - e - 1][spare - more];
        is_within = next[j] + rest <= room_.ranks * (1.0 + kRounding);
      }
      chosen_[e] = more;
      if (is_within && fits(e + 1, spare - more, next)) {
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] bool pair() const {
    if (room_.slots_per_rank > 2) {
      return true;
    }
    std::vector<double> parts;
    for (std::size_t e = 0; e < choices_.size(); ++e) {
      for (const PartsAlike& alike : choices_[e][chosen_[e]]) {
        parts.insert(parts.end(), static_cast<std::size_t>(alike.slots), alike.part);
      }
    }
    parts.resize(static_cast<std::size_t>(2 * room_.ranks));  // one a rank: the other is nothing
    std::sort(parts.begin(), parts.end(), std::greater<>());
    for (std::size_t i = 0; i < parts.size() / 2; ++i) {
      if (parts[i] + parts[parts.size() - 1 - i] > 1.0 + kRounding) {
        return false;
      }
    }
    return true;
  }

  SlotChoices choices_;
  FitRoom room_;
  std::array<Costs, kThresholds.size()> costs_;
  std::array<std::vector<std::vector<double>>, kThresholds.size()> rest_;  // [experts left][spare]
  std::vector<std::size_t> chosen_;  ///< by expert, its slots - 1
  int tried_ = 0;
};

}  // namespace

double least_of_choices(const std::vector<std::vector<double>>& costs, std::size_t spare) {
  std::vector<double> least = no_expert(spare);
  for (const std::vector<double>& cost : costs) {
    least = with_expert(least, cost);
  }
  return least[spare];
}

bool cannot_fit(const SlotChoices& choices, const FitRoom& room) {
  return Fitting(choices, room).is_impossible();
}

}  // namespace moesim
