// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/learned_source.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "sim/core/check.hpp"

namespace moesim::generate {
namespace {

/// "auxiliary loss 0.01, noise 1"; what holds the gate back.
std::string balancing(const GateTraining& training) {
  std::string text;
  const auto add = [&](bool on, std::string words) {
    text += on ? (text.empty() ? "" : ", ") + std::move(words) : "";
  };
  add(training.aux_loss > 0.0, fmt::format("auxiliary loss {}", training.aux_loss));
  add(training.z_loss > 0.0, fmt::format("z-loss {}", training.z_loss));
  add(training.noise > 0.0, fmt::format("noise {}", training.noise));
  add(training.bias_rate > 0.0, fmt::format("bias rate {}", training.bias_rate));
  add(training.expert_choice, "expert choice");
  add(training.reset_after > 0,
      fmt::format("reset of experts dead for {} steps", training.reset_after));
  return text.empty() ? "nothing balances it" : text;
}

/// Training steps of all layers: done, and asked for until now.
struct TrainingPace {
  const Pace& pace;
  std::atomic<std::int64_t> done = 0;
  std::atomic<std::int64_t> asked = 0;

  void ask(std::int64_t total) {
    std::int64_t before = asked.load();
    while (before < total && !asked.compare_exchange_weak(before, total)) {
    }
  }
  void step_done() { tell(pace, "training the gates", ++done, asked.load()); }
};

/// A layer's gate and its past, one moment for each simulated step so far.
class LayerHistory {
 public:
  LayerHistory(const LearnedSpec& spec,
               const SourceShape& shape,
               std::uint64_t seed,
               int layer,
               TrainingPace& pace)
      : spec_(spec),
        layers_(shape.layers),
        gate_(spec.training, shape.num_experts, shape.top_k, seed, layer),
        pace_(pace) {}

  /// The gate of a simulated step; trains it that far. The reference stays good.
  const FrozenGate& at(int step) {
    pace_.ask((spec_.first_step + std::int64_t{step} * spec_.stride) * layers_);
    const std::scoped_lock lock(mutex_);
    while (moments_.size() <= static_cast<std::size_t>(step)) {
      const int more = moments_.empty() ? spec_.first_step : spec_.stride;
      for (int i = 0; i < more; ++i) {
        gate_.step();
        pace_.step_done();
      }
      moments_.push_back(std::make_unique<FrozenGate>(gate_.frozen()));
    }
    return *moments_[static_cast<std::size_t>(step)];
  }
  /// Training does not change what tokens are.
  void draw_token(std::size_t cluster, RngStream& rng, std::span<double> token) const {
    gate_.draw_token(cluster, rng, token);
  }

 private:
  const LearnedSpec& spec_;
  int layers_;
  GateTrainer gate_;
  TrainingPace& pace_;
  std::vector<std::unique_ptr<const FrozenGate>> moments_;
  std::mutex mutex_;
};

class LearnedSource final : public RoutingSource {
 public:
  LearnedSource(const LearnedSpec& spec,
                const SourceShape& shape,
                std::uint64_t seed,
                const Pace& pace)
      : spec_(spec), shape_(shape), seed_(seed), pace_(pace) {
    info_.origin = "learned";
    info_.draw = fmt::format(
        "a gate trained on made-up tokens, {}; {} training steps before the first step, {} from "
        "one to the next",
        balancing(spec.training),
        spec.first_step,
        spec.stride);
    info_.num_experts = shape.num_experts;
    info_.top_k = shape.top_k;
    info_.candidates = shape.candidates;
    info_.layers = shape.layers;
    info_.phase = "training";
    info_.has_weights = spec.gate_weights != GateWeights::kNone;
    info_.slots_by_weight = spec.training.noise == 0.0 && spec.training.bias_rate == 0.0;
    for (int layer = 0; layer < shape.layers; ++layer) {
      layers_.push_back(std::make_unique<LayerHistory>(spec_, shape, seed, layer, training_));
    }
  }

  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }

  [[nodiscard]] Routing route(int step, int layer) const override {
    MOESIM_CHECK(step >= 0 && layer >= 0 && layer < info_.layers, "no such step or layer");
    Routing routing{.num_experts = info_.num_experts,
                    .top_k = info_.top_k,
                    .token_begin = {},
                    .experts = {},
                    .weights = {}};
    const auto each = static_cast<std::size_t>(shape_.top_k + shape_.candidates);
    const auto tokens = static_cast<std::size_t>(shape_.tokens_per_rank);
    std::vector<ExpertIndex> experts(static_cast<std::size_t>(shape_.ranks) * tokens * each);
    std::vector<float> weights(info_.has_weights ? experts.size() : 0);
    LayerHistory& history = *layers_[static_cast<std::size_t>(layer)];
    const FrozenGate& gate = history.at(step);
    Scratch scratch(shape_.num_experts, spec_.training.width);
    for (int rank = 0; rank < shape_.ranks; ++rank) {
      tell(pace_, "drawing tokens", rank, 0);
      routing.token_begin.push_back(rank * shape_.tokens_per_rank);
      const std::uint64_t who =
          mix_hash(static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(rank));
      RngStream kinds(seed_, "learned kinds", who);
      RngStream rng(seed_, "learned tokens", mix_hash(who, static_cast<std::uint64_t>(layer)));
      for (std::size_t t = 0; t < tokens; ++t) {
        const std::size_t at = (static_cast<std::size_t>(rank) * tokens + t) * each;
        history.draw_token(
            kinds.below(static_cast<std::uint64_t>(spec_.training.clusters)), rng, scratch.token);
        const auto best = std::span(experts).subspan(at, each);
        choose(gate, rng, scratch, best);
        if (info_.has_weights) {
          weigh(scratch, best, std::span(weights).subspan(at, each));
        }
      }
    }
    routing.token_begin.push_back(shape_.ranks * shape_.tokens_per_rank);
    take_choices(routing, std::move(experts), std::move(weights), shape_.candidates);
    return routing;
  }

 private:
  struct Scratch {
    Scratch(int experts, int width)
        : token(static_cast<std::size_t>(width)),
          scores(static_cast<std::size_t>(experts)),
          worth(scores.size()),
          shares(scores.size()) {}
    std::vector<double> token;
    std::vector<double> scores;
    std::vector<double> worth;
    std::vector<double> shares;
  };

  void choose(const FrozenGate& gate,
              RngStream& rng,
              Scratch& scratch,
              std::span<ExpertIndex> best) const {
    gate_scores(gate, scratch.token, scratch.scores);
    for (std::size_t e = 0; e < scratch.worth.size(); ++e) {
      const double noise =
          spec_.training.noise > 0.0 ? spec_.training.noise * gate_normal(rng) : 0.0;
      scratch.worth[e] = scratch.scores[e] + gate.bias[e] + noise;
    }
    take_largest(scratch.worth, best);
  }

  void weigh(Scratch& scratch, std::span<const ExpertIndex> best, std::span<float> weights) const {
    gate_shares(scratch.scores, scratch.shares);
    double sum = 1.0;
    if (spec_.gate_weights == GateWeights::kChosen) {
      sum = 0.0;
      for (const ExpertIndex e : best.first(static_cast<std::size_t>(shape_.top_k))) {
        sum += scratch.shares[e];
      }
    }
    for (std::size_t i = 0; i < best.size(); ++i) {
      // Noise can choose experts whose shares are all 0 in double: then each counts alike.
      weights[i] =
          static_cast<float>(sum > 0.0 ? scratch.shares[best[i]] / sum : 1.0 / shape_.top_k);
    }
  }

  LearnedSpec spec_;
  SourceShape shape_;
  std::uint64_t seed_;
  Pace pace_;
  TrainingPace training_{.pace = pace_};
  RoutingSourceInfo info_;
  std::vector<std::unique_ptr<LayerHistory>> layers_;
};

}  // namespace

std::unique_ptr<RoutingSource> open_learned_source(const LearnedSpec& spec,
                                                   const SourceShape& shape,
                                                   std::uint64_t seed,
                                                   const Pace& pace) {
  return std::make_unique<LearnedSource>(spec, shape, seed, pace);
}

}  // namespace moesim::generate
