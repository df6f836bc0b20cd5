// SPDX-License-Identifier: Apache-2.0
// Random batches of recorded tokens: how many experts they wake, how full the fullest rank is.
#include <algorithm>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/traces/skew.hpp"

namespace moesim::traces {
namespace {

using Load = std::vector<std::int64_t>;

/// Draws the rows of one batch after the other.
class BatchDraw {
 public:
  BatchDraw(const RoutePack& pack, const BatchSpec& spec)
      : pack_(pack), spec_(spec), rng_(spec.seed, "batches") {
    const std::int64_t least = spec.kind == BatchKind::kOneSequence ? spec.tokens : 1;
    for (std::size_t i = 0; i < pack.sequences.size(); ++i) {
      if (pack.sequences[i].rows >= least) {
        usable_.push_back(i);
      }
    }
  }

  [[nodiscard]] bool possible() const {
    const auto wanted = static_cast<std::size_t>(spec_.tokens);
    return !usable_.empty() && (spec_.kind == BatchKind::kOneSequence || usable_.size() >= wanted);
  }

  std::vector<std::int64_t> next() {
    std::vector<std::int64_t> rows;
    if (spec_.kind == BatchKind::kOneSequence) {
      const TraceSequence& sequence = pack_.sequences[usable_[rng_.below(usable_.size())]];
      const std::int64_t first = sequence.row_start + below(sequence.rows - spec_.tokens + 1);
      for (std::int64_t i = 0; i < spec_.tokens; ++i) {
        rows.push_back(first + i);
      }
      return rows;
    }
    // The first places of a Fisher-Yates shuffle: distinct sequences.
    for (std::size_t i = 0; i < static_cast<std::size_t>(spec_.tokens); ++i) {
      std::swap(usable_[i], usable_[i + rng_.below(usable_.size() - i)]);
      const TraceSequence& sequence = pack_.sequences[usable_[i]];
      rows.push_back(sequence.row_start + below(sequence.rows));
    }
    return rows;
  }

 private:
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(n)));
  }

  const RoutePack& pack_;
  const BatchSpec& spec_;
  RngStream rng_;
  std::vector<std::size_t> usable_;
};

/// Load of the rows in one layer.
Load load_of_rows(const RoutePack& pack, std::span<const std::int64_t> rows, std::size_t layer) {
  const NpyArray& topk = *pack.topk;
  Load load(static_cast<std::size_t>(pack.header.experts));
  visit_integer_type(topk.type(), [&](auto zero) {
    for (const std::int64_t row : rows) {
      const std::size_t first =
          (static_cast<std::size_t>(row) * topk.size(1) + layer) * topk.size(2);
      for (std::size_t slot = 0; slot < topk.size(2); ++slot) {
        const auto id = number_at<decltype(zero)>(topk.data().data(), first + slot);
        ++load[static_cast<std::size_t>(id)];
      }
    }
  });
  return load;
}

void add_batch(const Load& load, const std::vector<int>& ranks, BatchSkew& sum) {
  sum.unique_experts += static_cast<double>(
      std::count_if(load.begin(), load.end(), [](std::int64_t n) { return n > 0; }));
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    sum.rank_imbalance[i] += rank_imbalance(load, ranks[i]);
  }
}

}  // namespace

std::optional<BatchSkew> measure_batches(const RoutePack& pack, const BatchSpec& spec) {
  MOESIM_CHECK(pack.per_token() && spec.tokens > 0 && spec.draws > 0, "no batch to draw");
  BatchDraw draw(pack, spec);
  if (!draw.possible()) {
    return std::nullopt;
  }
  BatchSkew mean{.unique_experts = 0.0, .rank_imbalance = std::vector<double>(spec.ranks.size())};
  for (int i = 0; i < spec.draws; ++i) {
    const std::vector<std::int64_t> rows = draw.next();
    for (std::size_t layer = 0; layer < pack.topk->size(1); ++layer) {
      add_batch(load_of_rows(pack, rows, layer), spec.ranks, mean);
    }
  }
  const double batches = static_cast<double>(spec.draws) * static_cast<double>(pack.topk->size(1));
  mean.unique_experts /= batches;
  for (double& imbalance : mean.rank_imbalance) {
    imbalance /= batches;
  }
  return mean;
}

}  // namespace moesim::traces
