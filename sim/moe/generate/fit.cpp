// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/fit.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/generate/fit_parts.hpp"
#include "sim/moe/generate/generated_source.hpp"
#include "sim/moe/traces/checks.hpp"
#include "sim/moe/traces/skew.hpp"

namespace moesim::generate {
namespace {

using traces::RoutePack;

constexpr int kRounds = 12;
constexpr double kMostSigma = 4.0;
constexpr double kMostDrop = 8.0;
constexpr double kMostCorrelation = 0.98;
constexpr std::uint64_t kTestSeedShift = 1000;  // another draw than the one the fit looked at

/// So many that chance among the experts of a layer averages out: about 1,500 experts.
int fit_layers(const traces::PackHeader& header) {
  return std::clamp(1536 / header.experts, 8, 64);
}

/// How far a fit is: rounds, and as many more for the parts it is tested on.
class Rounds {
 public:
  explicit Rounds(const Pace& pace) : pace_(pace) {}
  void next() { ++done_; }
  /// For work within a round.
  [[nodiscard]] Pace within() const {
    return [this](std::string_view, std::int64_t, std::int64_t) {
      tell(pace_, "fitting", done_, kRounds + kTests);
    };
  }

 private:
  static constexpr int kTests = 3;  // the fitted part, unseen sequences, unseen domains
  const Pace& pace_;
  std::int64_t done_ = 0;
};

RoutePack generated_like(const RoutePack& part,
                         const GeneratorSpec& spec,
                         std::uint64_t seed,
                         const Rounds& rounds) {
  return generate_pack(spec,
                       {.num_experts = part.header.experts,
                        .top_k = part.header.top_k,
                        .layers = fit_layers(part.header),
                        .sequences = part.sequences},
                       seed,
                       rounds.within());
}

/// A value of a positive quantity after one step towards its target.
double nudged(double value, double target, double found, double most) {
  constexpr double kLeastFactor = 0.5;
  constexpr double kMostFactor = 2.0;
  if (target <= 0.0) {
    return 0.0;
  }
  const double ratio = found > 0.0 ? target / found : kMostFactor;
  return std::min(most, value * std::clamp(ratio, kLeastFactor, kMostFactor));
}

double excess(const RoutingFacts& facts) {
  return std::max(0.0, *facts.overlap - *facts.overlap_16);
}

/// Correlation^3 as the overlaps 1, 4 and 16 tokens apart show it.
double decay(const RoutingFacts& facts) {
  const double whole = excess(facts);
  return whole > 0.0 ? std::clamp((*facts.overlap_4 - *facts.overlap_16) / whole, 0.0, 1.0) : 0.0;
}

void adjust(GeneratorSpec& spec, const RoutingFacts& target, const RoutingFacts& found) {
  spec.popularity_sigma =
      nudged(spec.popularity_sigma, target.variation, found.variation, kMostSigma);
  spec.cold_share = std::clamp(spec.cold_share + (target.cold - found.cold) / 2, 0.0, 1.0);
  if (spec.cold_share > 0.0) {
    spec.cold_drop = nudged(spec.cold_drop, target.std_ln, found.std_ln, kMostDrop);
  }
  if (target.domain_distance && found.domain_distance) {
    spec.domain_sigma =
        nudged(spec.domain_sigma, *target.domain_distance, *found.domain_distance, kMostSigma);
  }
  if (target.one_sequence && found.one_sequence) {
    spec.request_sigma = nudged(
        spec.request_sigma, *target.one_sequence - 1.0, *found.one_sequence - 1.0, kMostSigma);
  }
  if (target.overlap && found.overlap) {
    const double needed = *target.overlap - *found.overlap_16;
    spec.token_sigma = nudged(spec.token_sigma, needed, excess(found), kMostSigma);
    const double step = std::cbrt(decay(target)) - std::cbrt(decay(found));
    spec.token_correlation = std::clamp(spec.token_correlation + step / 2, 0.0, kMostCorrelation);
  }
  if (target.best_weight && found.best_weight) {
    const double even = 1.0 / spec.top_k;  // what equal weights would show
    spec.weight_scale = nudged(
        spec.weight_scale, *target.best_weight - even, *found.best_weight - even, kMostSigma);
  }
}

struct NamedFact {
  const char* name;
  std::optional<double> RoutingFacts::*optional;
  double RoutingFacts::*plain;
  bool is_target;
};

constexpr NamedFact kFacts[] = {
    {"coefficient of variation", nullptr, &RoutingFacts::variation, true},
    {"std of ln(load)", nullptr, &RoutingFacts::std_ln, true},
    {"share of cold experts", nullptr, &RoutingFacts::cold, true},
    {"one sequence max/mean", &RoutingFacts::one_sequence, nullptr, true},
    {"overlap of consecutive tokens", &RoutingFacts::overlap, nullptr, true},
    {"overlap 4 apart", &RoutingFacts::overlap_4, nullptr, true},
    {"overlap 16 apart", &RoutingFacts::overlap_16, nullptr, false},
    {"distance between domains", &RoutingFacts::domain_distance, nullptr, true},
    {"load max/mean", nullptr, &RoutingFacts::max_over_mean, false},
    {"share of the top 20 %", nullptr, &RoutingFacts::top_share, false},
    {"unique experts, 32 tokens of a sequence", &RoutingFacts::unique_experts, nullptr, false},
    {"gate weight on the best expert", &RoutingFacts::best_weight, nullptr, true},
};

void add_rows(FitResult& result,
              const std::string& part,
              const RoutingFacts& recorded,
              const RoutingFacts& generated) {
  for (const NamedFact& fact : kFacts) {
    const std::optional<double> a = fact.plain ? recorded.*fact.plain : recorded.*fact.optional;
    const std::optional<double> b = fact.plain ? generated.*fact.plain : generated.*fact.optional;
    if (a && b) {
      result.rows.push_back({.part = part,
                             .quantity = fact.name,
                             .recorded = *a,
                             .generated = *b,
                             .is_target = fact.is_target && part == "fitted"});
    }
  }
}

void test_part(FitResult& result,
               const std::string& name,
               const RoutePack& part,
               std::uint64_t seed,
               Rounds& rounds) {
  rounds.next();
  if (part.sequences.empty()) {
    result.notes.push_back("nothing was kept out as " + name);
    return;
  }
  const RoutePack generated = generated_like(part, result.spec, seed + kTestSeedShift, rounds);
  add_rows(result, name, routing_facts(part), routing_facts(generated));
}

/// To three decimals: a fit knows no more.
void round_numbers(GeneratorSpec& spec) {
  for (double* number : {&spec.popularity_sigma,
                         &spec.cold_share,
                         &spec.cold_drop,
                         &spec.domain_sigma,
                         &spec.request_sigma,
                         &spec.token_sigma,
                         &spec.token_correlation,
                         &spec.weight_scale}) {
    *number = std::round(*number * 1000.0) / 1000.0;
  }
}

/// Where the search starts. Tilts that no fact asks for stay 0.
GeneratorSpec first_guess(const RoutePack& pack, const RoutingFacts& target) {
  GeneratorSpec spec;
  spec.experts = pack.header.experts;
  spec.top_k = pack.header.top_k;
  spec.layers = pack.header.layers;
  spec.domains = std::max(1, static_cast<int>(pack.domains().size()));
  spec.cold_share = target.cold;
  spec.cold_drop = 3.0;
  spec.domain_sigma = target.domain_distance ? 0.5 : 0.0;
  spec.request_sigma = target.one_sequence ? 0.5 : 0.0;
  spec.token_sigma = target.overlap ? 0.8 : 0.0;
  spec.token_correlation = target.overlap ? 0.5 : 0.0;
  return spec;
}

/// Gate weights of a token and layer, one after the other.
template <typename F>
void each_gate(const RoutePack& pack, F&& visit) {
  const traces::NpyArray& array = *pack.weights;
  const bool half = array.type() == traces::NumberType::kF2;
  std::vector<double> gate(array.size(2));
  for (std::size_t i = 0; i < array.count(); ++i) {
    gate[i % gate.size()] =
        half ? traces::half_to_float(traces::number_at<std::uint16_t>(array.data().data(), i))
             : traces::number_at<float>(array.data().data(), i);
    if (i % gate.size() == gate.size() - 1) {
      visit(gate);
    }
  }
}

double best_weight(const RoutePack& pack) {
  double shares = 0.0;
  double gates = 0.0;
  each_gate(pack, [&](const std::vector<double>& gate) {
    const double sum = std::accumulate(gate.begin(), gate.end(), 0.0);
    if (sum > 0.0) {
      shares += *std::max_element(gate.begin(), gate.end()) / sum;
      gates += 1.0;
    }
  });
  return gates > 0.0 ? shares / gates : 0.0;
}

/// Which softmax the recorded weights look like: those over all experts sum to less than 1.
GateWeights kind_of_weights(const RoutePack& pack) {
  constexpr double kRounding = 0.01;  // of top_k halves
  double sum = 0.0;
  double gates = 0.0;
  each_gate(pack, [&](const std::vector<double>& gate) {
    sum += std::accumulate(gate.begin(), gate.end(), 0.0);
    gates += 1.0;
  });
  return sum / gates < 1.0 - kRounding ? GateWeights::kAll : GateWeights::kChosen;
}

std::int64_t rounded_mean_length(const RoutePack& pack) {
  return std::max<std::int64_t>(1,
                                pack.tokens() / static_cast<std::int64_t>(pack.sequences.size()));
}

FitResult fit_tokens(const RoutePack& pack, std::uint64_t seed, const Pace& pace) {
  Rounds rounds(pace);
  FitResult result;
  const FitParts parts = split_for_fit(pack, seed);
  const RoutingFacts target = routing_facts(parts.seen);
  result.spec = first_guess(pack, target);
  result.spec.request_tokens = static_cast<int>(rounded_mean_length(pack));
  const GateWeights assumed = result.spec.gate_weights;
  result.spec.gate_weights = target.best_weight ? kind_of_weights(parts.seen) : GateWeights::kNone;
  const auto generated = [&] {
    return routing_facts(generated_like(parts.seen, result.spec, seed, rounds));
  };
  for (int round = 0; round < kRounds; ++round) {
    adjust(result.spec, target, generated());
    rounds.next();
  }
  round_numbers(result.spec);
  add_rows(result, "fitted", target, generated());
  test_part(result, "unseen sequences", parts.unseen_sequences, seed, rounds);
  test_part(result, "unseen domains", parts.unseen_domains, seed, rounds);
  if (!target.best_weight) {
    result.spec.gate_weights = assumed;
    result.notes.emplace_back("no gate weights to fit weight_scale to: it is assumed");
  }
  if (parts.cut_into_windows) {
    result.notes.emplace_back("few sequences: they were cut into windows of 256 tokens");
  }
  return result;
}

/// What a load says, medians over layers.
RoutingFacts facts_of_load(const traces::SkewReport& skew, int experts) {
  RoutingFacts facts;
  facts.std_ln = skew.std_ln.median;
  facts.variation = skew.variation.median;
  facts.cold = skew.cold.median / experts;
  facts.max_over_mean = skew.max_over_mean.median;
  facts.top_share = skew.top_share.median;
  return facts;
}

/// A counts pack over some of its steps, as load by layer.
RoutingFacts counts_facts(const RoutePack& pack, std::size_t first, std::size_t stride) {
  RoutePack part;
  part.header = pack.header;
  std::vector<std::int64_t> counts;
  for (auto step = first; step < static_cast<std::size_t>(pack.steps()); step += stride) {
    for (std::size_t layer = 0; layer < static_cast<std::size_t>(pack.header.layers); ++layer) {
      const std::vector<std::int64_t> load = step_counts(pack, step, layer);
      counts.insert(counts.end(), load.begin(), load.end());
    }
  }
  const std::int64_t row = std::int64_t{pack.header.layers} * pack.header.experts;
  part.counts = traces::make_array(
      traces::NumberType::kI8,
      {static_cast<std::int64_t>(counts.size()) / row, pack.header.layers, pack.header.experts},
      counts);
  return facts_of_load(traces::measure_skew(part), pack.header.experts);
}

/// Loads only: `tokens` independent tokens a layer stand for the recorded ones.
RoutingFacts load_facts(const GeneratorSpec& spec,
                        const traces::PackHeader& header,
                        std::uint64_t seed,
                        const Rounds& rounds) {
  constexpr std::int64_t kTokens = 16'384;
  RoutePack like;
  like.header = header;
  like.sequences.push_back({.row_start = 0, .rows = kTokens, .domain = "", .source = ""});
  return facts_of_load(traces::measure_skew(generated_like(like, spec, seed, rounds)),
                       header.experts);
}

FitResult fit_counts(const RoutePack& pack, std::uint64_t seed, const Pace& pace) {
  Rounds rounds(pace);
  FitResult result;
  const bool one_step = pack.steps() < 2;
  const RoutingFacts target = counts_facts(pack, 0, one_step ? 1 : 2);
  result.spec = first_guess(pack, target);
  const GateWeights assumed = std::exchange(result.spec.gate_weights, GateWeights::kNone);
  for (int round = 0; round < kRounds; ++round) {
    adjust(result.spec, target, load_facts(result.spec, pack.header, seed, rounds));
    rounds.next();
  }
  round_numbers(result.spec);
  add_rows(result, "fitted", target, load_facts(result.spec, pack.header, seed, rounds));
  result.notes.emplace_back(
      "counts say nothing about requests, domains, neighbouring tokens and gate weights: their "
      "sigmas are 0, weight_scale is assumed");
  if (one_step) {
    result.notes.emplace_back("one step: nothing was kept out of the fit");
  } else {
    add_rows(result,
             "unseen steps",
             counts_facts(pack, 1, 2),
             load_facts(result.spec, pack.header, seed + kTestSeedShift, rounds));
  }
  result.spec.gate_weights = assumed;
  return result;
}

}  // namespace

RoutingFacts routing_facts(const RoutePack& pack) {
  MOESIM_CHECK(pack.per_token(), "facts of tokens");
  const traces::SkewReport skew = traces::measure_skew(pack);
  const std::vector<double> overlap =
      traces::overlap_by_lag(*pack.topk, pack.sequences, pack.header.experts);
  RoutingFacts facts = facts_of_load(skew, pack.header.experts);
  if (skew.tokens->one_sequence) {
    facts.one_sequence = skew.tokens->one_sequence->median;
  }
  if (skew.tokens->domain_distance) {
    facts.domain_distance = skew.tokens->domain_distance->median;
  }
  if (overlap.back() > 0.0) {
    facts.overlap = overlap[0];
    facts.overlap_4 = overlap[3];
    facts.overlap_16 = overlap[15];
  }
  const auto batches = traces::measure_batches(pack,
                                               {.kind = traces::BatchKind::kOneSequence,
                                                .tokens = 32,
                                                .draws = 100,
                                                .ranks = {},
                                                .seed = 1});
  if (batches) {
    facts.unique_experts = batches->unique_experts;
  }
  if (pack.weights && pack.header.top_k > 1) {
    facts.best_weight = best_weight(pack);
  }
  return facts;
}

FitResult fit_generator(const RoutePack& pack, std::uint64_t seed, const Pace& pace) {
  return pack.per_token() ? fit_tokens(pack, seed, pace) : fit_counts(pack, seed, pace);
}

}  // namespace moesim::generate
