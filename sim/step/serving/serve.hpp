// SPDX-License-Identifier: Apache-2.0
// Requests over time: arrivals, continuous batching on EP groups, one event at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "sim/step/serving/attention_group.hpp"
#include "sim/step/serving/kv_network.hpp"
#include "sim/step/serving/series.hpp"
#include "sim/step/serving/step_surface.hpp"

namespace moesim {

/// Time of a step of one EP group with these loads.
using StepTime = std::function<Seconds(const GroupLoads& loads)>;

struct ServingSetup {
  RequestSpec spec;
  int attention_groups = 1;  ///< of one EP group: ep / tp
  int tp = 1;
  std::int64_t kv_tokens = 0;  ///< of one attention group
  Bytes kv_bytes_per_token;    ///< of one rank; kDisaggregated
  Dtype kv_dtype = Dtype::kBf16;
  std::uint64_t seed = 1;  ///< of which steps are kept for checking
};

/// A step of the run, kept whole.
struct KeptStep {
  SimTime start;
  Seconds predicted;  ///< without the host's overhead
  ServedBatch batch;
};

struct ServingRun {
  std::vector<ServedRequest> requests;  ///< in order of arrival
  std::vector<SeriesBin> series;
  std::vector<KeptStep> kept;  ///< first steps that prefill, then those that only decode
  SimTime end;                 ///< the last event
  std::int64_t steps = 0;
  std::int64_t prefill_steps = 0;     ///< of them, with prompts
  SimTime busy;                       ///< time in steps, over all EP groups
  std::int64_t prefilled_tokens = 0;  ///< again after a preemption counted again
  std::int64_t decoded_tokens = 0;
  std::int64_t preemptions = 0;
  std::int64_t most_kv_tokens = 0;   ///< of any attention group at any time
  std::int64_t moves = 0;            ///< caches handed over
  std::int64_t prefix_hits = 0;      ///< prompt tokens that a prefix cache had
  std::int64_t admitted_tokens = 0;  ///< of all prompts admitted, after preemptions too
  std::int64_t dropped_blocks = 0;   ///< of prefix caches, for want of room
  bool partial = false;              ///< cancelled before the last request was done
};

struct ServeControl {
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(std::int64_t done, std::int64_t total)>
      on_progress;  ///< requests; may be empty
};

/// Serves all requests to their end. Every EP group steps whenever it has a token to process: its
/// attention groups all in the same step, which takes step_overhead + step_time(loads), the last
/// token of each request appearing at its end. A request goes, when it arrives, to an attention
/// group of any EP group that prefills, by `balance`, and stays. kDisaggregated: with its prompt
/// done (and its first token out) its cache moves to the attention group of a decoding EP group
/// with the most room, as soon as one has room for it, and decodes there; one that loses its cache
/// there goes through a prefilling group again.
/// Requests that no attention group could ever hold are rejected.
/// With a concurrency the requests beyond it wait outside; one arrives, by its time, when another
/// is done. Its arrival is then. Deterministic. Source: vLLM V1, SGLang (data-parallel attention
/// steps in lockstep with EP). Left out: speculative decoding, priorities, prefix caches of groups
/// that only decode, time between arrival and queue. Checked by: serve_test (one request,
/// saturation, M/D/1, Little's law, conservation).
/// @param step      what KvNetwork needs; only with kDisaggregated, else may be null
[[nodiscard]] ServingRun serve(std::span<const Request> requests,
                               const ServingSetup& setup,
                               const StepTime& step_time,
                               const StepModel* step,
                               const ServeControl& control);

}  // namespace moesim
