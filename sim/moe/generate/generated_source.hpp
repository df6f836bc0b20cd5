// SPDX-License-Identifier: Apache-2.0
// Generated routings for a simulation, and as packs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/core/pace.hpp"
#include "sim/moe/generate/generator_spec.hpp"
#include "sim/moe/routing.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::generate {

/// For whom routings are generated.
struct SourceShape {
  int num_experts = 0;
  int top_k = 0;
  int layers = 0;
  int ranks = 0;
  int tokens_per_rank = 0;
  int candidates = 0;  ///< experts after its top_k that a token tells of
};

/// "generated, fitted on X", or how it was chosen by hand.
[[nodiscard]] std::string generated_label(const GeneratorSpec& spec);

/// A RoutingSource that draws every token when it is asked for.
///
/// kSequences: rank r reads requests r, r + ranks, ... whole, one after the other, for ever.
/// kTokens: place j of rank r holds request r * tokens_per_rank + j and takes its next token each
///   step; a request of request_tokens tokens that ends gives way to the next one, ranks *
///   tokens_per_rank later.
/// Request i is of domain i mod domains.
/// @param pace  of the drawing ("drawing tokens", total 0), as long as the source lives
[[nodiscard]] std::unique_ptr<RoutingSource> open_generated_source(const GeneratorSpec& spec,
                                                                   const SourceShape& shape,
                                                                   TraceDraw draw,
                                                                   std::uint64_t seed,
                                                                   const Pace& pace = {});

/// What a generated pack holds.
struct PackShape {
  int num_experts = 0;
  int top_k = 0;
  int layers = 0;
  std::vector<traces::TraceSequence> sequences;  ///< cover rows from 0, in order
};

/// `requests` sequences of spec.request_tokens tokens; domain names "domain 0", ... if several.
[[nodiscard]] std::vector<traces::TraceSequence> generated_sequences(const GeneratorSpec& spec,
                                                                     int requests);

/// A per-token pack, labelled as generated; sequence i is request i. Drift is left out.
[[nodiscard]] traces::RoutePack generate_pack(const GeneratorSpec& spec,
                                              const PackShape& shape,
                                              std::uint64_t seed,
                                              const Pace& pace = {});

}  // namespace moesim::generate
