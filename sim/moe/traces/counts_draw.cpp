// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/traces/counts_draw.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"

namespace moesim::traces {
namespace {

class CountsSource final : public RoutingSource {
 public:
  CountsSource(RoutePack pack, int ranks, int tokens_per_rank, std::uint64_t seed)
      : pack_(std::move(pack)),
        ranks_(ranks),
        tokens_per_rank_(tokens_per_rank),
        seed_(seed),
        by_rank_(pack_.counts->axes() == 4 && pack_.source_ranks() == ranks) {
    info_ = {.model = pack_.header.model,
             .origin = "counts",
             .draw = draw_sentence(),
             .num_experts = pack_.header.experts,
             .top_k = pack_.header.top_k,
             .layers = pack_.header.layers,
             .has_weights = false,
             .phase = pack_.header.phase};
  }

  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }

  [[nodiscard]] Routing route(int step, int layer) const override {
    MOESIM_CHECK(step >= 0 && layer >= 0 && layer < info_.layers, "no such step or layer");
    Routing routing{.num_experts = info_.num_experts,
                    .top_k = info_.top_k,
                    .token_begin = {},
                    .experts = {},
                    .weights = {}};
    for (int rank = 0; rank <= ranks_; ++rank) {
      routing.token_begin.push_back(rank * tokens_per_rank_);
    }
    const auto recorded = static_cast<std::size_t>(step) % static_cast<std::size_t>(pack_.steps());
    const auto column = static_cast<std::size_t>(layer);
    if (!by_rank_) {
      routing.experts = draw(step_counts(pack_, recorded, column), ranks_, {step, layer, 0});
      return routing;
    }
    for (int rank = 0; rank < ranks_; ++rank) {
      const std::vector<ExpertIndex> own =
          draw(rank_counts(pack_, recorded, static_cast<std::size_t>(rank), column),
               1,
               {step, layer, rank});
      routing.experts.insert(routing.experts.end(), own.begin(), own.end());
    }
    return routing;
  }

 private:
  struct Place {
    int step;
    int layer;
    int rank;
  };

  [[nodiscard]] std::vector<ExpertIndex> draw(const std::vector<std::int64_t>& counts,
                                              int ranks,
                                              Place place) const {
    const std::int64_t tokens = std::int64_t{ranks} * tokens_per_rank_;
    const auto layers = static_cast<std::uint64_t>(info_.layers);
    const std::uint64_t index = (static_cast<std::uint64_t>(place.step) * layers +
                                 static_cast<std::uint64_t>(place.layer)) *
                                    static_cast<std::uint64_t>(ranks_) +
                                static_cast<std::uint64_t>(place.rank);
    return draw_from_counts(scaled_counts(counts, tokens * info_.top_k),
                            tokens,
                            info_.top_k,
                            RngStream(seed_, "tokens of counts", index));
  }

  [[nodiscard]] std::string draw_sentence() const {
    if (by_rank_) {
      return "tokens drawn to meet the recorded counts of every source rank";
    }
    if (pack_.source_ranks() > 1) {
      return fmt::format(
          "tokens of all ranks drawn together to meet the recorded counts, summed over the {} "
          "recorded source ranks",
          pack_.source_ranks());
    }
    return "tokens of all ranks drawn together to meet the recorded counts";
  }

  RoutePack pack_;
  int ranks_;
  int tokens_per_rank_;
  std::uint64_t seed_;
  bool by_rank_;
  RoutingSourceInfo info_;
};

}  // namespace

std::vector<std::int64_t> scaled_counts(std::span<const std::int64_t> counts, std::int64_t total) {
  const std::int64_t sum = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  MOESIM_CHECK(sum > 0, "counts of nothing");
  std::vector<std::int64_t> scaled(counts.size());
  std::vector<std::pair<std::int64_t, std::size_t>> remainders;  // negated, for ascending order
  std::int64_t left = total;
  for (std::size_t e = 0; e < counts.size(); ++e) {
    scaled[e] = counts[e] * total / sum;
    left -= scaled[e];
    remainders.emplace_back(-(counts[e] * total % sum), e);
  }
  std::sort(remainders.begin(), remainders.end());
  for (std::size_t i = 0; i < static_cast<std::size_t>(left); ++i) {
    ++scaled[remainders[i].second];
  }
  return scaled;
}

std::vector<ExpertIndex> draw_from_counts(std::span<const std::int64_t> counts,
                                          std::int64_t tokens,
                                          int top_k,
                                          RngStream rng) {
  const auto places = static_cast<std::size_t>(tokens);
  const auto slots = static_cast<std::size_t>(top_k);
  std::vector<ExpertIndex> expert_order(counts.size());
  std::iota(expert_order.begin(), expert_order.end(), ExpertIndex{0});
  shuffle(std::span(expert_order), rng);
  std::vector<std::uint32_t> token_at(places);
  std::iota(token_at.begin(), token_at.end(), 0U);
  shuffle(std::span(token_at), rng);
  std::vector<ExpertIndex> experts(places * slots);
  std::size_t place = 0;
  std::size_t slot = 0;
  for (const ExpertIndex expert : expert_order) {
    MOESIM_CHECK(counts[expert] <= tokens, "an expert has more assignments than there are tokens");
    for (std::int64_t n = 0; n < counts[expert]; ++n) {
      MOESIM_CHECK(slot < slots, "more assignments than slots");
      experts[token_at[place] * slots + slot] = expert;
      if (++place == places) {
        place = 0;
        ++slot;
      }
    }
  }
  MOESIM_CHECK(slot == slots && place == 0, "assignments do not fill the slots");
  return experts;
}

std::unique_ptr<RoutingSource> open_counts_source(RoutePack pack,
                                                  int ranks,
                                                  int tokens_per_rank,
                                                  std::uint64_t seed) {
  return std::make_unique<CountsSource>(std::move(pack), ranks, tokens_per_rank, seed);
}

}  // namespace moesim::traces
