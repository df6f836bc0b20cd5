// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/generator.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <string_view>

#include "sim/core/check.hpp"
#include "sim/core/portable_math.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/generate/largest.hpp"
#include "sim/moe/generate/noise.hpp"

namespace moesim::generate {
namespace {

using Scores = std::vector<std::int32_t>;

constexpr std::uint32_t kHalfWord = 0xffff;
constexpr std::int32_t kAlways = std::numeric_limits<std::int32_t>::max();

std::int32_t scaled(std::int64_t sigma, std::int32_t noise) {
  return static_cast<std::int32_t>(sigma * noise / kScoreOne);
}

std::uint64_t index_of(std::uint64_t a, std::uint64_t b) {
  return mix_hash(a, b);
}

std::uint64_t bits(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

/// Adds N(0, sigma) to every score, two a word.
void add_normal(Scores& scores, double sigma, RngStream rng) {
  const std::int64_t factor = fixed_point(sigma);
  const Scores& normal = noise_tables().normal;
  for (std::size_t e = 0; factor > 0 && e < scores.size(); e += 2) {
    const std::uint32_t word = rng();
    scores[e] += scaled(factor, normal[word & kHalfWord]);
    if (e + 1 < scores.size()) {
      scores[e + 1] += scaled(factor, normal[word >> 16U]);
    }
  }
}

}  // namespace

/// The tokens of one request in one layer, one after the other.
class Walk {
 public:
  Walk(const Generator& generator, const RequestId& who, int layer, Scores base)
      : generator_(generator),
        key_(index_of(bits(who.request), static_cast<std::uint64_t>(layer))),
        base_(std::move(base)),
        token_sigma_(fixed_point(generator.spec_.token_sigma)),
        fresh_below_(static_cast<std::uint32_t>(std::max<std::int64_t>(
            1, kScoreOne - fixed_point(generator.spec_.token_correlation)))) {
    if (token_sigma_ > 0 && generator.spec_.kind == GeneratorKind::kLogNormal) {
      held_.resize(base_.size());
    }
    if (generator.spec_.kind == GeneratorKind::kOneHot) {
      const auto hot = std::find(base_.begin(), base_.end(), kAlways);
      hot_ = static_cast<std::size_t>(hot - base_.begin());
      *hot = 0;
    }
  }

  /// Finds, expert by expert, the last fresh value at or before `token`.
  void start(std::int64_t token) {
    std::vector<bool> known(held_.size());
    std::size_t left = held_.size();
    for (std::int64_t t = token; left > 0; --t) {
      draw_words("token noise", t, held_.size());
      for (std::size_t e = 0; e < held_.size(); ++e) {
        if (!known[e] && is_fresh(words_[e], t)) {
          known[e] = true;
          held_[e] = noise_of(words_[e]);
          --left;
        }
      }
    }
  }

  void step_to(std::int64_t token) {
    if (held_.empty()) {
      return;
    }
    draw_words("token noise", token, held_.size());
    for (std::size_t e = 0; e < held_.size(); ++e) {
      const std::int32_t noise = noise_of(words_[e]);  // looked up by all: chance misleads branches
      held_[e] = is_fresh(words_[e], token) ? noise : held_[e];
    }
  }

  void choose(std::int64_t token, std::span<ExpertIndex> out, std::span<float> weights) {
    scores_ = base_;
    for (std::size_t e = 0; e < held_.size(); ++e) {
      scores_[e] += held_[e];
    }
    add_gumbel(token);
    const bool of_all = generator_.spec_.gate_weights == GateWeights::kAll && !weights.empty();
    if (of_all) {
      all_ = scores_;
    }
    keep_best_groups();
    take_best(out);
    if (!weights.empty()) {
      weigh(weights, of_all);
    }
  }

 private:
  /// Fills words_ with the first words of a token's stream.
  void draw_words(std::string_view purpose, std::int64_t token, std::size_t count) {
    words_.resize(count);
    RngStream(generator_.seed_, purpose, index_of(key_, bits(token))).fill(words_);
  }
  [[nodiscard]] bool is_fresh(std::uint32_t word, std::int64_t token) const {
    return token == 0 || (word & kHalfWord) < fresh_below_;
  }
  [[nodiscard]] std::int32_t noise_of(std::uint32_t word) const {
    return scaled(token_sigma_, noise_tables().normal[word >> 16U]);
  }

  void add_gumbel(std::int64_t token) {
    draw_words("token choice", token, (scores_.size() + 1) / 2);
    const std::int32_t* const gumbel = noise_tables().gumbel.data();
    std::int32_t* const scores = scores_.data();
    const std::size_t pairs = scores_.size() / 2;
    for (std::size_t i = 0; i < pairs; ++i) {
      scores[2 * i] += gumbel[words_[i] & kHalfWord];
      scores[2 * i + 1] += gumbel[words_[i] >> 16U];
    }
    if (scores_.size() % 2 == 1) {
      scores_.back() += gumbel[words_.back() & kHalfWord];
    }
    if (hot_) {
      scores_[*hot_] = kAlways;
    }
  }

  void keep_best_groups() {
    const auto groups = static_cast<std::size_t>(generator_.spec_.groups);
    const auto kept = static_cast<std::size_t>(generator_.spec_.top_groups);
    if (kept >= groups) {
      return;
    }
    const std::size_t size = scores_.size() / groups;
    worth_.resize(groups);
    for (std::size_t g = 0; g < groups; ++g) {
      worth_[g] = best_two(std::span(scores_).subspan(g * size, size));
    }
    places_of(worth_, places_);
    open_.clear();
    auto end = scores_.begin();
    for (std::size_t g = 0; g < groups; ++g) {
      if (places_[g] < kept) {
        const auto first = scores_.begin() + static_cast<std::ptrdiff_t>(g * size);
        end = std::copy_n(first, size, end);
        open_.push_back(g);
      }
    }
    scores_.erase(end, scores_.end());
  }

  /// The expert whose score stands at `at` of those of the open groups.
  [[nodiscard]] ExpertIndex expert_at(std::size_t at) const {
    if (open_.empty()) {
      return static_cast<ExpertIndex>(at);
    }
    const std::size_t size = scores_.size() / open_.size();
    return static_cast<ExpertIndex>(open_[at / size] * size + at % size);
  }

  /// Only scores that reach the smallest of as many maxima as are wanted can be among the best.
  void take_best(std::span<ExpertIndex> out) {
    best_.resize(out.size());
    const std::int32_t floor = smallest_maximum(scores_, best_);
    able_.resize(scores_.size());
    std::size_t able = 0;
    for (std::size_t at = 0; at < scores_.size(); ++at) {
      able_[able] = static_cast<ExpertIndex>(at);
      able += scores_[at] >= floor ? 1U : 0U;
    }
    able_.resize(able);
    able_scores_.resize(able);
    for (std::size_t i = 0; i < able; ++i) {
      able_scores_[i] = scores_[able_[i]];
    }
    places_of(able_scores_, places_);
    for (std::size_t i = 0; i < able; ++i) {
      if (places_[i] < out.size()) {
        out[places_[i]] = expert_at(able_[i]);
        best_[places_[i]] = able_scores_[i];
      }
    }
  }

  /// Softmax of the scores: over the best top_k, or over the whole layer.
  void weigh(std::span<float> weights, bool of_all) {
    const std::int64_t scale = fixed_point(generator_.spec_.weight_scale);
    const std::int64_t most = of_all ? *std::max_element(all_.begin(), all_.end()) : best_[0];
    const auto power = [&](std::int64_t score) {
      return score_exp((score - most) * scale / kScoreOne);
    };
    const auto top_k = static_cast<std::size_t>(generator_.top_k_);
    double sum = 0.0;
    for (const std::int32_t score : of_all ? std::span(all_) : std::span(best_).first(top_k)) {
      sum += power(score);
    }
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] = static_cast<float>(power(best_[i]) / sum);
    }
  }

  const Generator& generator_;
  std::uint64_t key_;
  Scores base_;
  std::optional<std::size_t> hot_;  ///< the expert that everyone chooses first
  std::int64_t token_sigma_;
  std::uint32_t fresh_below_;
  Scores held_;  ///< token noise, empty if there is none
  Scores scores_;
  Scores best_;  ///< of the chosen, best first
  Scores all_;   ///< before the groups are cut, where gate weights need them
  // Kept from token to token for their memory.
  std::vector<std::uint32_t> words_;
  std::vector<std::int64_t> worth_;  ///< by group
  std::vector<std::size_t> open_;    ///< groups that may be chosen from; empty: all
  std::vector<ExpertIndex> able_;
  Scores able_scores_;
  std::vector<std::uint32_t> places_;
};

Generator::Generator(const GeneratorSpec& spec, int num_experts, int top_k, std::uint64_t seed)
    : spec_(spec), num_experts_(num_experts), top_k_(top_k), seed_(seed) {
  MOESIM_CHECK(top_k > 0 && top_k <= num_experts && num_experts <= 0xfffe, "no such choice");
  MOESIM_CHECK(spec.groups > 0 && num_experts % spec.groups == 0 && spec.top_groups > 0 &&
                   spec.top_groups <= spec.groups && choosable() >= top_k,
               "groups do not fit");
  MOESIM_CHECK(spec.token_correlation >= 0.0 && spec.token_correlation < 1.0, "correlation");
}

int Generator::choosable() const {
  return num_experts_ / spec_.groups * spec_.top_groups;
}

/// Lowers the scores of cold experts: cold_share of them on the average over layers.
void Generator::cool(Scores& scores, int layer) const {
  RngStream rng(seed_, "cold experts", static_cast<std::uint64_t>(layer));
  const double wanted = spec_.cold_share * num_experts_ + rng.uniform01();
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(std::span(order), rng);
  const std::size_t cold = std::min(order.size(), static_cast<std::size_t>(wanted));
  for (std::size_t i = 0; i < cold; ++i) {
    scores[order[i]] -= static_cast<std::int32_t>(fixed_point(spec_.cold_drop));
  }
}

std::vector<std::int32_t> Generator::epoch(int layer, int epoch) const {
  Scores scores(static_cast<std::size_t>(num_experts_));
  const RngStream rng(
      seed_, "popularity", index_of(static_cast<std::uint64_t>(layer), bits(epoch)));
  if (spec_.kind == GeneratorKind::kLogNormal) {
    add_normal(scores, spec_.popularity_sigma, rng);
    return scores;
  }
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  RngStream shuffling = rng;
  shuffle(std::span(order), shuffling);
  if (spec_.kind == GeneratorKind::kOneHot) {
    scores[order[0]] = kAlways;
  } else if (spec_.kind == GeneratorKind::kZipf) {
    for (std::size_t i = 0; i < order.size(); ++i) {
      scores[order[i]] = static_cast<std::int32_t>(
          fixed_point(-spec_.zipf_exponent * portable_log(static_cast<double>(i + 1))));
    }
  }
  return scores;
}

std::vector<std::int32_t> Generator::popularity(int layer, int step) const {
  Scores scores = drifted(layer, step);
  if (spec_.kind == GeneratorKind::kLogNormal && spec_.cold_share > 0.0) {
    cool(scores, layer);
  }
  return scores;
}

std::vector<std::int32_t> Generator::drifted(int layer, int step) const {
  if (spec_.drift_steps == 0 || spec_.kind == GeneratorKind::kUniform) {
    return epoch(layer, 0);
  }
  const int whole = step / spec_.drift_steps;
  Scores now = epoch(layer, whole);
  const int part = step % spec_.drift_steps;
  if (spec_.kind == GeneratorKind::kOneHot || part == 0) {
    return now;
  }
  const Scores next = epoch(layer, whole + 1);
  const double f = static_cast<double>(part) / spec_.drift_steps;
  const double norm = std::sqrt((1.0 - f) * (1.0 - f) + f * f);
  const std::int64_t keep = fixed_point((1.0 - f) / norm);
  const std::int64_t take = fixed_point(f / norm);
  for (std::size_t e = 0; e < now.size(); ++e) {
    now[e] = scaled(keep, now[e]) + scaled(take, next[e]);
  }
  return now;
}

void Generator::choose(const RequestId& who,
                       int layer,
                       std::span<const std::int32_t> popularity,
                       std::int64_t first_token,
                       const Choices& out) const {
  MOESIM_CHECK(out.per_token <= choosable(), "more experts than a token may choose from");
  Scores base(popularity.begin(), popularity.end());
  const bool tilted = spec_.kind == GeneratorKind::kLogNormal;
  const auto at = static_cast<std::uint64_t>(layer);
  if (tilted) {
    add_normal(base, spec_.domain_sigma, {seed_, "domain tilt", index_of(at, bits(who.domain))});
    add_normal(base, spec_.request_sigma, {seed_, "request tilt", index_of(at, bits(who.request))});
  }
  Walk walk(*this, who, layer, std::move(base));
  const auto slots = static_cast<std::size_t>(out.per_token > 0 ? out.per_token : top_k_);
  for (std::size_t i = 0; i * slots < out.experts.size(); ++i) {
    const std::int64_t token = first_token + static_cast<std::int64_t>(i);
    if (i == 0) {
      walk.start(token);
    } else {
      walk.step_to(token);
    }
    walk.choose(token,
                out.experts.subspan(i * slots, slots),
                out.weights.empty() ? out.weights : out.weights.subspan(i * slots, slots));
  }
}

}  // namespace moesim::generate
