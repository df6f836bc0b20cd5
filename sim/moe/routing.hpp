// SPDX-License-Identifier: Apache-2.0
// Which experts each token of a step visits in one MoE layer, and the sources such routings come
// from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/core/ids.hpp"
#include "sim/moe/generate/gate_spec.hpp"
#include "sim/moe/generate/generator_spec.hpp"

namespace moesim {

using ExpertIndex = std::uint16_t;  ///< a logical expert, compact; packs have at most 65,534

/// One MoE layer of one step over all ranks of the expert-parallel group. Tokens are ordered by
/// rank: rank r owns tokens [token_begin[r], token_begin[r + 1]).
struct Routing {
  int num_experts = 0;
  int top_k = 0;
  std::vector<std::int32_t> token_begin;  ///< [ranks + 1]
  std::vector<ExpertIndex> experts;       ///< [token * top_k], distinct within a token
  std::vector<float> weights;  ///< gate weights [token * top_k], or empty if the source has none
  /// Experts that each token would choose after its top_k, best first: [token * num_candidates].
  /// Only sources that know them have any (narrowed_source).
  int num_candidates = 0;
  std::vector<ExpertIndex> candidates = {};
  std::vector<float> candidate_weights = {};  ///< as weights, of the candidates

  [[nodiscard]] int num_ranks() const { return static_cast<int>(token_begin.size()) - 1; }
  [[nodiscard]] std::int32_t num_tokens() const {
    return token_begin.empty() ? 0 : token_begin.back();
  }
  [[nodiscard]] bool has_weights() const { return !weights.empty(); }
  [[nodiscard]] std::span<const ExpertIndex> of_token(std::int32_t token) const {
    return std::span(experts).subspan(
        static_cast<std::size_t>(token) * static_cast<std::size_t>(top_k),
        static_cast<std::size_t>(top_k));
  }
};

/// Sorts out what a source drew, top_k and then `candidates` of each token, best first: fills
/// experts, weights (if there are any) and candidates.
void take_choices(Routing& routing,
                  std::vector<ExpertIndex> experts,
                  std::vector<float> weights,
                  int candidates);

/// Assignments per expert, [num_experts].
[[nodiscard]] std::vector<std::int64_t> expert_load(const Routing& routing);

/// Facts of a source that reports show and checks need.
struct RoutingSourceInfo {
  std::string model;   ///< the model it was recorded from, "" if unknown
  std::string origin;  ///< "trace", "counts", "generated", "learned"
  std::string draw;    ///< one sentence: how tokens were given to ranks
  int num_experts = 0;
  int top_k = 0;
  int layers = 0;  ///< MoE layers it can route
  bool has_weights = false;
  bool slots_by_weight = false;  ///< a token's experts stand in descending order of gate weight
  int candidates = 0;            ///< experts after its top_k that every token tells of
  std::string phase = {};      ///< in which it was recorded, as a pack says it; "" if nothing does
  std::string fitted_on = {};  ///< generated: the recording that its numbers were fitted on
};

/// Gives the routing of any (step, layer). Deterministic: same arguments, same routing, from any
/// thread and in any order.
class RoutingSource {
 public:
  RoutingSource() = default;
  RoutingSource(const RoutingSource&) = delete;
  RoutingSource& operator=(const RoutingSource&) = delete;
  virtual ~RoutingSource() = default;

  [[nodiscard]] virtual const RoutingSourceInfo& info() const = 0;
  /// @param step >= 0   @param layer in [0, info().layers), counted over MoE layers
  [[nodiscard]] virtual Routing route(int step, int layer) const = 0;
};

/// How tokens of a trace are given to ranks.
enum class TraceDraw {
  kSequences,  ///< every rank reads whole sequences one after the other (prefill, training)
  kTokens,     ///< every rank holds tokens_per_rank sequences and takes one token of each a step
               ///< (decode)
};

enum class RoutingOrigin { kTrace, kGenerated, kLearned };

/// [routing]
struct RoutingSpec {
  RoutingOrigin source = RoutingOrigin::kTrace;
  std::string trace;  ///< path of a route pack (folder); only with kTrace
  TraceDraw draw = TraceDraw::kSequences;
  std::vector<std::string> domains;  ///< keep only sequences of these domains; empty: all
  GeneratorSpec generated = {};      ///< only with kGenerated
  LearnedSpec learned = {};          ///< only with kLearned
};

/// Opens a per-token or counts pack as a source for `ranks` ranks of `tokens_per_rank` tokens each.
///
/// kSequences: the kept sequences are shuffled by (seed, "sequence order") and dealt to the ranks
///   in turn; each rank reads its own queue in order, step after step, and starts again at its end.
/// kTokens: rank r holds tokens_per_rank sequences (dealt in the same order, wrapping); at step s
///   it takes token p + s (mod length) of each, p drawn for each by (seed, "decode phase").
/// A counts pack (info().origin "counts") ignores draw: at step s it draws, for each source rank,
///   top_k distinct experts a token so that the counts of step s (mod steps) are met exactly when
///   tokens_per_rank equals the recorded tokens, else in proportion (largest remainder).
/// Throws UserError when the pack cannot be read or does not fit (messages in docs/traces.md).
[[nodiscard]] std::unique_ptr<RoutingSource> open_routing_source(const RoutingSpec& spec,
                                                                 int ranks,
                                                                 int tokens_per_rank,
                                                                 std::uint64_t seed);

}  // namespace moesim
