// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/generator.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string_view>

#include "sim/core/check.hpp"
#include "sim/core/portable_math.hpp"
#include "sim/core/rng.hpp"
#include "sim/moe/generate/noise.hpp"

namespace moesim::generate {
namespace {

using Scores = std::vector<std::int32_t>;

constexpr std::uint32_t kHalfWord = 0xffff;
constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kAlways = std::numeric_limits<std::int32_t>::max();

std::int64_t fixed(double value) {
  return static_cast<std::int64_t>(std::floor(value * kScoreOne + 0.5));
}

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
  const std::int64_t factor = fixed(sigma);
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
        token_sigma_(fixed(generator.spec_.token_sigma)),
        fresh_below_(static_cast<std::uint32_t>(
            std::max<std::int64_t>(1, kScoreOne - fixed(generator.spec_.token_correlation)))) {
    if (token_sigma_ > 0 && generator.spec_.kind == GeneratorKind::kLogNormal) {
      held_.resize(base_.size());
    }
  }

  /// Finds, expert by expert, the last fresh value at or before `token`.
  void start(std::int64_t token) {
    std::vector<bool> known(held_.size());
    std::size_t left = held_.size();
    for (std::int64_t t = token; left > 0; --t) {
      RngStream rng = stream("token noise", t);
      for (std::size_t e = 0; e < held_.size(); ++e) {
        const std::uint32_t word = rng();
        if (!known[e] && is_fresh(word, t)) {
          known[e] = true;
          held_[e] = noise_of(word);
          --left;
        }
      }
    }
  }

  void step_to(std::int64_t token) {
    if (held_.empty()) {
      return;
    }
    RngStream rng = stream("token noise", token);
    for (std::int32_t& held : held_) {
      const std::uint32_t word = rng();
      if (is_fresh(word, token)) {
        held = noise_of(word);
      }
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
      weigh(out, weights, of_all);
    }
  }

 private:
  [[nodiscard]] RngStream stream(std::string_view purpose, std::int64_t token) const {
    return {generator_.seed_, purpose, index_of(key_, bits(token))};
  }
  [[nodiscard]] bool is_fresh(std::uint32_t word, std::int64_t token) const {
    return token == 0 || (word & kHalfWord) < fresh_below_;
  }
  [[nodiscard]] std::int32_t noise_of(std::uint32_t word) const {
    return scaled(token_sigma_, noise_tables().normal[word >> 16U]);
  }

  void add_gumbel(std::int64_t token) {
    const Scores& gumbel = noise_tables().gumbel;
    RngStream rng = stream("token choice", token);
    for (std::size_t e = 0; e < scores_.size(); e += 2) {
      const std::uint32_t word = rng();
      scores_[e] += scores_[e] == kAlways ? 0 : gumbel[word & kHalfWord];
      if (e + 1 < scores_.size()) {
        scores_[e + 1] += scores_[e + 1] == kAlways ? 0 : gumbel[word >> 16U];
      }
    }
  }

  void keep_best_groups() {
    const auto groups = static_cast<std::size_t>(generator_.spec_.groups);
    const auto kept = static_cast<std::size_t>(generator_.spec_.top_groups);
    if (kept >= groups) {
      return;
    }
    const std::size_t size = scores_.size() / groups;
    std::vector<std::pair<std::int64_t, std::size_t>> worth;  // negated: the best sort first
    for (std::size_t g = 0; g < groups; ++g) {
      std::int64_t best = kNever;
      std::int64_t second = size > 1 ? std::int64_t{kNever} : 0;
      for (std::size_t e = g * size; e < (g + 1) * size; ++e) {
        second = size > 1 ? std::max(second, std::min<std::int64_t>(best, scores_[e])) : 0;
        best = std::max<std::int64_t>(best, scores_[e]);
      }
      worth.emplace_back(-(best + second), g);
    }
    std::sort(worth.begin(), worth.end());
    for (std::size_t i = kept; i < groups; ++i) {
      const auto first = scores_.begin() + static_cast<std::ptrdiff_t>(worth[i].second * size);
      std::fill(first, first + static_cast<std::ptrdiff_t>(size), kNever);
    }
  }

  /// Insertion into a short list that stays sorted: most scores fall below its end.
  void take_best(std::span<ExpertIndex> out) {
    std::size_t filled = 0;
    for (std::size_t e = 0; e < scores_.size(); ++e) {
      if (filled == out.size() && scores_[e] <= scores_[out[filled - 1]]) {
        continue;
      }
      std::size_t at = filled < out.size() ? filled++ : filled - 1;
      for (; at > 0 && scores_[e] > scores_[out[at - 1]]; --at) {
        out[at] = out[at - 1];
      }
      out[at] = static_cast<ExpertIndex>(e);
    }
  }

  /// Softmax of the scores: over the first top_k of `out`, or over the whole layer.
  void weigh(std::span<const ExpertIndex> out, std::span<float> weights, bool of_all) {
    const std::int64_t scale = fixed(generator_.spec_.weight_scale);
    std::int64_t most = scores_[out[0]];
    if (of_all) {
      most = *std::max_element(all_.begin(), all_.end());
    }
    const auto power = [&](std::int64_t score) {
      return score_exp((score - most) * scale / kScoreOne);
    };
    double sum = 0.0;
    if (of_all) {
      for (const std::int32_t score : all_) {
        sum += power(score);
      }
    } else {
      for (const ExpertIndex e : out.first(static_cast<std::size_t>(generator_.top_k_))) {
        sum += power(scores_[e]);
      }
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      weights[i] = static_cast<float>(power(scores_[out[i]]) / sum);
    }
  }

  const Generator& generator_;
  std::uint64_t key_;
  Scores base_;
  std::int64_t token_sigma_;
  std::uint32_t fresh_below_;
  Scores held_;  ///< token noise, empty if there is none
  Scores scores_;
  Scores all_;  ///< before the groups are cut, where gate weights need them
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
    scores[order[i]] -= static_cast<std::int32_t>(fixed(spec_.cold_drop));
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
          fixed(-spec_.zipf_exponent * portable_log(static_cast<double>(i + 1))));
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
  const std::int64_t keep = fixed((1.0 - f) / norm);
  const std::int64_t take = fixed(f / norm);
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
