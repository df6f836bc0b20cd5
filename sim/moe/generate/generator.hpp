// SPDX-License-Identifier: Apache-2.0
// Draws expert choices from a GeneratorSpec: any token of any request, without those before it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/generate/generator_spec.hpp"
#include "sim/moe/routing.hpp"

namespace moesim::generate {

/// Who asks: request r of domain d.
struct RequestId {
  std::int64_t request = 0;
  int domain = 0;
};

/// Where the choices of tokens go.
struct Choices {
  std::span<ExpertIndex> experts;  ///< [token * per_token], best first
  std::span<float> weights = {};   ///< gate weights, in the same order; empty: not wanted
  int per_token = 0;               ///< top_k and the candidates wanted; 0: top_k
};

/// The score of an expert e for token t of request r (domain d) in layer l at step s,
///   score = a[l, e, s] + D[d, l, e] + b[r, l, e] + n[r, l, t, e] + g[r, l, t, e]
/// and the top_k largest are chosen, equal scores to the lower expert. Candidates are the next
/// ones.
///   a  ln popularity: N(0, popularity_sigma), for a share cold_share of the experts cold_drop less
///      (gates leave some experts nearly unused, which no log-normal does); Zipf: -zipf_exponent
///      ln(rank), ranks shuffled
///   D, b  tilts of the domain and the request: N(0, domain_sigma), N(0, request_sigma)
///   n  token noise: N(0, token_sigma); from a token to the next each expert keeps its value with
///      probability token_correlation, else draws a fresh one
///   g  standard Gumbel, independent
/// With a alone this is sampling without replacement in proportion to e^a.
/// Groups (top_groups < groups): only experts of the top_groups groups with the largest sum of
///   their two best scores can be chosen.
/// Drift: a at step s lies between independent draws A[j], j = floor(s / drift_steps), and A[j +
/// 1]:
///   a = ((1 - f) A[j] + f A[j + 1]) / sqrt((1 - f)^2 + f^2), f the fraction: its variance stays.
/// Gate weights: w_e = e^(c s_e) / sum e^(c s) over the chosen experts or over all of the layer, s
///   the scores, c weight_scale. A candidate's weight has the same divisor.
/// Source: Gumbel-top-k (Vieira 2014; Kool et al. 2019); DAR(1) (Jacobs & Lewis 1978) for n, whose
///   autocorrelation token_correlation^lag is that of a Gaussian AR(1); group choice as in
///   DeepSeek-V3 (arXiv 2412.19437).
/// Valid for: loads and neighbourhood of tokens as far as fitted; no correlation between layers.
///   Weights have one scale for all layers. n jumps expert by expert where a Gaussian AR(1) would
///   glide.
/// Checked by: generator_test, generator_file_test.
class Generator {
 public:
  Generator(const GeneratorSpec& spec, int num_experts, int top_k, std::uint64_t seed);

  /// Experts that a token may choose from: all, or those of top_groups groups.
  [[nodiscard]] int choosable() const;

  /// a[l, e, s] of every expert.
  [[nodiscard]] std::vector<std::int32_t> popularity(int layer, int step) const;

  /// The choices of consecutive tokens from first_token on. @pre out.per_token <= choosable()
  void choose(const RequestId& who,
              int layer,
              std::span<const std::int32_t> popularity,
              std::int64_t first_token,
              const Choices& out) const;

  [[nodiscard]] const GeneratorSpec& spec() const { return spec_; }

 private:
  friend class Walk;
  [[nodiscard]] std::vector<std::int32_t> epoch(int layer, int epoch) const;
  [[nodiscard]] std::vector<std::int32_t> drifted(int layer, int step) const;
  void cool(std::vector<std::int32_t>& scores, int layer) const;

  GeneratorSpec spec_;
  int num_experts_;
  int top_k_;
  std::uint64_t seed_;
};

}  // namespace moesim::generate
