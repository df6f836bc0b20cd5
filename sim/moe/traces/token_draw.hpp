// SPDX-License-Identifier: Apache-2.0
// Replays the rows of a per-token pack.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/moe/routing.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

/// Consecutive rows of a pack.
struct RowRun {
  std::int64_t row = 0;
  std::int64_t rows = 0;
};

/// Which rows of the pack a rank reads at a step, for either TraceDraw. Plain arithmetic over
/// prefix sums: no state, so threads share it.
class TokenDraw {
 public:
  /// `sequences` in the order in which they are dealt.
  /// @param phase  kTokens: how far into its sequence each place is at step 0, [rank, place];
  /// empty:
  ///               all at the start
  TokenDraw(TraceDraw draw,
            std::vector<TraceSequence> sequences,
            int ranks,
            int tokens_per_rank,
            std::vector<std::int64_t> phase = {});

  /// Appends the runs that rank `rank` reads at `step`: tokens_per_rank rows in all.
  void append_runs(int rank, int step, std::vector<RowRun>& runs) const;

 private:
  struct Queue {
    std::vector<std::int64_t> sequence_end;  ///< running total of rows
    std::vector<std::int64_t> first_row;     ///< by sequence of the queue
  };

  void append_queue_runs(const Queue& queue, int step, std::vector<RowRun>& runs) const;

  TraceDraw draw_;
  std::vector<TraceSequence> sequences_;
  std::vector<Queue> queues_;  ///< by rank, kSequences only
  int tokens_per_rank_;
  std::vector<std::int64_t> phase_;
};

/// The sequences of the given domains (all if none is given), shuffled by (seed, "sequence order").
/// Throws UserError for a domain that the pack does not have.
[[nodiscard]] std::vector<TraceSequence> kept_sequences(const RoutePack& pack,
                                                        std::span<const std::string> domains,
                                                        std::uint64_t seed);

/// Phases for kTokens: uniform over each place's sequence, from (seed, "decode phase"). Requests
/// that are decoded together are at different tokens; all first tokens at once (of a chat template,
/// say) would be far more alike than any step of a server.
[[nodiscard]] std::vector<std::int64_t> decode_phases(std::span<const TraceSequence> sequences,
                                                      std::int64_t places,
                                                      std::uint64_t seed);

/// A RoutingSource over a per-token pack; messages and meaning as open_routing_source has them.
[[nodiscard]] std::unique_ptr<RoutingSource> open_token_source(
    RoutePack pack, const RoutingSpec& spec, int ranks, int tokens_per_rank, std::uint64_t seed);

}  // namespace moesim::traces
