// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/generate/generated_source.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/generate/generator.hpp"

namespace moesim::generate {
namespace {

std::string kind_words(const GeneratorSpec& spec) {
  switch (spec.kind) {
    case GeneratorKind::kUniform:
      return "uniform";
    case GeneratorKind::kZipf:
      return fmt::format("Zipf, exponent {}", spec.zipf_exponent);
    case GeneratorKind::kLogNormal:
      return fmt::format("log-normal, popularity sigma {}", spec.popularity_sigma);
    case GeneratorKind::kOneHot:
      return "one hot expert a layer";
  }
  return "";
}

class GeneratedSource final : public RoutingSource {
 public:
  GeneratedSource(const GeneratorSpec& spec,
                  const SourceShape& shape,
                  TraceDraw draw,
                  std::uint64_t seed,
                  const Pace& pace)
      : generator_(spec, shape.num_experts, shape.top_k, seed),
        shape_(shape),
        draw_(draw),
        pace_(pace) {
    info_.origin = "generated";
    info_.draw = generated_label(spec) +
                 (draw == TraceDraw::kSequences
                      ? "; every rank reads whole requests one after the other"
                      : fmt::format("; every rank holds {} requests and takes one token of each a "
                                    "step",
                                    shape.tokens_per_rank));
    info_.num_experts = shape.num_experts;
    info_.top_k = shape.top_k;
    info_.candidates = shape.candidates;
    info_.layers = shape.layers;
    info_.fitted_on = spec.fitted_on;
    info_.has_weights = spec.gate_weights != GateWeights::kNone;
    info_.slots_by_weight = true;
    for (int rank = 0; rank <= shape.ranks; ++rank) {
      token_begin_.push_back(rank * shape.tokens_per_rank);
    }
  }

  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }

  [[nodiscard]] Routing route(int step, int layer) const override {
    MOESIM_CHECK(step >= 0 && layer >= 0 && layer < info_.layers, "no such step or layer");
    Routing routing{.num_experts = info_.num_experts,
                    .top_k = info_.top_k,
                    .token_begin = token_begin_,
                    .experts = {},
                    .weights = {}};
    const std::size_t stride = per_token() * static_cast<std::size_t>(shape_.tokens_per_rank);
    const auto ranks = static_cast<std::size_t>(shape_.ranks);
    std::vector<ExpertIndex> experts(ranks * stride);
    std::vector<float> weights(info_.has_weights ? experts.size() : 0);
    const std::vector<std::int32_t> popularity = generator_.popularity(layer, step);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      tell(pace_, "drawing tokens", static_cast<std::int64_t>(rank), 0);
      const Choices mine{.experts = std::span(experts).subspan(rank * stride, stride),
                         .weights = weights.empty()
                                        ? std::span<float>()
                                        : std::span(weights).subspan(rank * stride, stride),
                         .per_token = static_cast<int>(per_token())};
      const Place at{static_cast<int>(rank), step, layer};
      if (draw_ == TraceDraw::kSequences) {
        read_requests(at, popularity, mine);
      } else {
        read_tokens(at, popularity, mine);
      }
    }
    take_choices(routing, std::move(experts), std::move(weights), shape_.candidates);
    return routing;
  }

 private:
  struct Place {
    int rank;
    int step;
    int layer;
  };

  [[nodiscard]] std::size_t per_token() const {
    return static_cast<std::size_t>(shape_.top_k + shape_.candidates);
  }

  /// The tokens [first, first + count) of `all`.
  [[nodiscard]] Choices part(const Choices& all, std::int64_t first, std::int64_t count) const {
    const std::size_t at = static_cast<std::size_t>(first) * per_token();
    const std::size_t numbers = static_cast<std::size_t>(count) * per_token();
    return {.experts = all.experts.subspan(at, numbers),
            .weights = all.weights.empty() ? all.weights : all.weights.subspan(at, numbers),
            .per_token = all.per_token};
  }

  [[nodiscard]] RequestId request(std::int64_t number) const {
    return {.request = number, .domain = static_cast<int>(number % generator_.spec().domains)};
  }

  void read_requests(const Place& at,
                     std::span<const std::int32_t> popularity,
                     const Choices& out) const {
    const std::int64_t length = generator_.spec().request_tokens;
    std::int64_t token = std::int64_t{at.step} * shape_.tokens_per_rank;
    for (std::int64_t done = 0; done < shape_.tokens_per_rank;) {
      const std::int64_t run = std::min(shape_.tokens_per_rank - done, length - token % length);
      generator_.choose(request(token / length * shape_.ranks + at.rank),
                        at.layer,
                        popularity,
                        token % length,
                        part(out, done, run));
      token += run;
      done += run;
    }
  }

  void read_tokens(const Place& at,
                   std::span<const std::int32_t> popularity,
                   const Choices& out) const {
    const std::int64_t length = generator_.spec().request_tokens;
    const std::int64_t places = std::int64_t{shape_.ranks} * shape_.tokens_per_rank;
    const std::int64_t first = std::int64_t{at.rank} * shape_.tokens_per_rank;
    for (std::int64_t j = 0; j < shape_.tokens_per_rank; ++j) {
      generator_.choose(request(at.step / length * places + first + j),
                        at.layer,
                        popularity,
                        at.step % length,
                        part(out, j, 1));
    }
  }

  Generator generator_;
  SourceShape shape_;
  TraceDraw draw_;
  Pace pace_;
  RoutingSourceInfo info_;
  std::vector<std::int32_t> token_begin_;
};

}  // namespace

std::string generated_label(const GeneratorSpec& spec) {
  return spec.fitted_on.empty() ? fmt::format("generated, {}, not fitted", kind_words(spec))
                                : fmt::format("generated, fitted on {}", spec.fitted_on);
}

std::unique_ptr<RoutingSource> open_generated_source(const GeneratorSpec& spec,
                                                     const SourceShape& shape,
                                                     TraceDraw draw,
                                                     std::uint64_t seed,
                                                     const Pace& pace) {
  return std::make_unique<GeneratedSource>(spec, shape, draw, seed, pace);
}

std::vector<traces::TraceSequence> generated_sequences(const GeneratorSpec& spec, int requests) {
  std::vector<traces::TraceSequence> sequences;
  for (std::int64_t i = 0; i < requests; ++i) {
    sequences.push_back(
        {.row_start = i * spec.request_tokens,
         .rows = spec.request_tokens,
         .domain = spec.domains > 1 ? fmt::format("domain {}", i % spec.domains) : "",
         .source = fmt::format("request {}", i)});
  }
  return sequences;
}

namespace {

traces::RoutePack pack_without_numbers(const GeneratorSpec& spec,
                                       const PackShape& shape,
                                       std::uint64_t seed) {
  traces::RoutePack pack;
  pack.header.experts = shape.num_experts;
  pack.header.top_k = shape.top_k;
  pack.header.layers = shape.layers;
  pack.header.slot_order = "weight_descending";
  pack.header.source = generated_label(spec);
  pack.header.seed = seed;
  pack.sequences = shape.sequences;
  return pack;
}

}  // namespace

traces::RoutePack generate_pack(const GeneratorSpec& spec,
                                const PackShape& shape,
                                std::uint64_t seed,
                                const Pace& pace) {
  MOESIM_CHECK(!shape.sequences.empty() && shape.layers > 0, "nothing to generate");
  const Generator generator(spec, shape.num_experts, shape.top_k, seed);
  traces::RoutePack pack = pack_without_numbers(spec, shape, seed);
  const std::vector<std::string> domains = pack.domains();
  const std::int64_t tokens = shape.sequences.back().row_start + shape.sequences.back().rows;
  const auto slots = static_cast<std::size_t>(shape.top_k);
  const auto layers = static_cast<std::size_t>(shape.layers);
  std::vector<ExpertIndex> ids(static_cast<std::size_t>(tokens) * layers * slots);
  const bool weighs = spec.gate_weights != GateWeights::kNone;
  std::vector<std::uint16_t> halves(weighs ? ids.size() : 0);
  std::vector<ExpertIndex> chosen;
  std::vector<float> weights;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const auto at = static_cast<int>(layer);
    const std::vector<std::int32_t> popularity = generator.popularity(at, 0);
    for (std::size_t i = 0; i < shape.sequences.size(); ++i) {
      const traces::TraceSequence& sequence = shape.sequences[i];
      tell(pace,
           "drawing tokens",
           static_cast<std::int64_t>(layer) * tokens + sequence.row_start,
           static_cast<std::int64_t>(layers) * tokens);
      const auto domain = std::lower_bound(domains.begin(), domains.end(), sequence.domain);
      chosen.resize(static_cast<std::size_t>(sequence.rows) * slots);
      weights.resize(weighs ? chosen.size() : 0);
      generator.choose({.request = static_cast<std::int64_t>(i),
                        .domain = static_cast<int>(domain - domains.begin())},
                       at,
                       popularity,
                       0,
                       {.experts = chosen, .weights = weights});
      for (std::size_t n = 0; n < chosen.size(); ++n) {
        const std::size_t row = static_cast<std::size_t>(sequence.row_start) + n / slots;
        const std::size_t to = (row * layers + layer) * slots + n % slots;
        ids[to] = chosen[n];
        if (weighs) {
          halves[to] = traces::float_to_half(weights[n]);
        }
      }
    }
  }
  const std::vector<std::int64_t> axes = {tokens, shape.layers, shape.top_k};
  if (shape.num_experts <= 256) {
    pack.topk = traces::make_array(
        traces::NumberType::kU1, axes, std::vector<std::uint8_t>(ids.begin(), ids.end()));
  } else {
    pack.topk = traces::make_array(traces::NumberType::kU2, axes, ids);
  }
  if (weighs) {
    pack.weights = traces::make_array(traces::NumberType::kF2, axes, halves);
  }
  return pack;
}

}  // namespace moesim::generate
