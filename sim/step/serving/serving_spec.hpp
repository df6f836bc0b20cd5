// SPDX-License-Identifier: Apache-2.0
// [requests]: what arrives, and how it is served. Values only.
#pragma once

#include <cstdint>
#include <string>

#include "sim/core/units.hpp"

namespace moesim {

enum class ArrivalSource {
  kPoisson,   ///< exponential gaps, log-normal or fixed lengths
  kAzure,     ///< TIMESTAMP,ContextTokens,GeneratedTokens
  kMooncake,  ///< JSON lines: timestamp (ms), input_length, output_length
  kBurstGpt,  ///< Timestamp (s), Request tokens, Response tokens
  kTable,     ///< CSV or JSON lines: arrival_s, prompt_tokens, output_tokens
};

enum class ServingPolicy {
  kColocated,      ///< every EP group prefills and decodes, in one batch
  kDisaggregated,  ///< some groups prefill, the others decode; the KV cache moves between them
};

enum class BalanceRule {
  kLeastLoaded,  ///< to the attention group with the fewest tokens that wait or are held
  kRoundRobin,
  kPrefix,  ///< to where fewest tokens are computed until its prompt is done; its cache counts
};

/// [requests]
struct RequestSpec {
  ArrivalSource source = ArrivalSource::kPoisson;
  std::string path;             ///< of the trace; not with kPoisson
  Seconds from;                 ///< of the trace, from its first arrival on
  Seconds to;                   ///< up to here, not counted; 0: all
  double rate_scale = 1;        ///< arrivals come this many times as fast
  Seconds spread;               ///< each arrives later by a uniform draw below this
  int concurrency = 0;          ///< requests under way at most; others arrive later; 0: no limit
  double rate = 1;              ///< kPoisson: arrivals a second
  std::int64_t count = 1000;    ///< kPoisson: how many
  double prompt_tokens = 1000;  ///< kPoisson: mean
  double prompt_sigma = 0;      ///< kPoisson: standard deviation of ln; 0: all alike
  double output_tokens = 200;
  double output_sigma = 0;
  Seconds ttft_slo;  ///< 0: none
  Seconds tpot_slo;
  Seconds warm_up;  ///< arrivals before it are served and not counted
  ServingPolicy policy = ServingPolicy::kColocated;
  int groups = 1;          ///< EP groups side by side
  int prefill_groups = 0;  ///< kDisaggregated: the first of them
  BalanceRule balance = BalanceRule::kLeastLoaded;
  int max_batch_tokens = 2048;  ///< of an attention group in a step
  int chunk_tokens = 2048;      ///< of them, prefilled; 0: prompts are not cut
  int max_sequences = 256;      ///< held by an attention group at a time
  bool prefix_cache = false;    ///< prompts begin with what the cache has of them; hash_ids
  int prefix_block = 512;       ///< tokens of a block that hash_ids name
  Seconds step_overhead;        ///< of the host, between two steps of a group
  Seconds interval{10};         ///< of the time series
  int surface_layers = 4;       ///< MoE layers simulated for a point of the surface; 0: all
  int check_steps = 16;         ///< steps of the run that are simulated in full beside it
};

}  // namespace moesim
