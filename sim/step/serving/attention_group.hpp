// SPDX-License-Identifier: Apache-2.0
// The scheduler of one attention group: which requests wait, prefill and decode, what of them the
// next step takes, and whose keys and values the cache holds.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "sim/core/sim_time.hpp"
#include "sim/step/serving/arrivals.hpp"
#include "sim/step/serving/batch.hpp"
#include "sim/step/serving/prefix_cache.hpp"

namespace moesim {

/// A request on its way. Times are from the start of the run.
struct ServedRequest {
  Request request;
  int ep_group = -1;         ///< that served it last; -1: rejected
  int attention_group = -1;  ///< inside it
  SimTime arrival;
  SimTime first_scheduled;
  SimTime first_token;
  SimTime finished;
  std::int64_t generated = 0;  ///< output tokens so far
  int preemptions = 0;
  bool scheduled = false;
  bool done = false;
  bool rejected = false;  ///< it could never be served: too long for the cache or the batch

  /// Tokens to compute before it can decode (again).
  [[nodiscard]] std::int64_t to_prefill() const { return request.prompt_tokens + generated; }
};

/// Limits of one attention group.
struct GroupLimits {
  int max_batch_tokens = 0;
  int chunk_tokens = 0;  ///< 0: prompts are not cut
  int max_sequences = 0;
  std::int64_t kv_tokens = 0;
  int prefix_block = 0;  ///< tokens of a block of the prefix cache; 0: none
};

/// Continuous batching, the first to come the first served.
///
/// A step takes one token of every decoding request; then, of what is left of max_batch_tokens and
/// at most chunk_tokens, prompts that are under way and new ones from the queue, while a place of
/// max_sequences is free and the cache has room for the whole prompt. Chunks end where the tokens
/// do; with chunk_tokens = 0 a prompt is taken whole or not yet. When the cache has no room for the
/// next token of every decoding request, the one admitted last loses its cache and goes back to the
/// head of the queue, to compute prompt and output so far again; nothing is admitted in that step.
///
/// With a prefix cache a prompt's whole blocks stay in the cache when the request is done, shared
/// by requests whose prompts begin with them, as long as nobody needs the room. A prompt is then
/// computed from its first block that is not there, but at least its last token.
/// Source: vLLM V1's scheduler (FCFS, preemption by recomputation; automatic prefix caching). Left
/// out: blocks of the cache but for prefixes, priorities. Checked by: serve_test,
/// prefix_cache_test.
class AttentionGroup {
 public:
  AttentionGroup(GroupLimits limits, std::vector<ServedRequest>& requests)
      : limits_(limits), requests_(requests) {}

  /// Whether the group could ever serve it.
  [[nodiscard]] bool can_hold(const Request& request) const;

  void enqueue(std::int64_t id) { add_waiting(id, false); }
  /// Takes a request whose prompt was prefilled elsewhere; its place was reserved.
  void start_decoding(std::int64_t id);
  /// Whether a request of `tokens` cached tokens could be taken now, and taking its place.
  [[nodiscard]] bool has_room(std::int64_t tokens) const;
  void reserve(std::int64_t tokens);
  /// Gives the cache of a request back that another group has taken over.
  void release(std::int64_t id, std::int64_t tokens);

  /// Chooses the next step's tokens. Those that lost their cache: `preempted` if asked for, else
  /// back in the own queue.
  void plan(SimTime now, std::vector<std::int64_t>* preempted = nullptr);
  [[nodiscard]] std::int64_t planned_tokens() const { return decoding_now_ + prefill_tokens_; }
  [[nodiscard]] std::int64_t planned_prefill() const { return prefill_tokens_; }
  [[nodiscard]] std::int64_t planned_decode() const { return decoding_now_; }
  /// What the planned step is to attention: the decoding requests as one load of their mean
  /// context, and each chunk.
  void append_loads(Dtype kv_dtype, std::vector<AttentionLoad>& loads) const;
  /// The planned step request by request.
  [[nodiscard]] std::vector<BatchItem> items() const;

  /// The planned step is done. Appends the requests that have all their tokens to `finished`, and
  /// with `prefilled` those whose prompt is done to it instead of decoding them here.
  void finish_step(SimTime now,
                   std::vector<std::int64_t>& finished,
                   std::vector<std::int64_t>* prefilled = nullptr);

  [[nodiscard]] std::int64_t waiting() const { return static_cast<std::int64_t>(queue_.size()); }
  [[nodiscard]] std::int64_t running() const {
    return static_cast<std::int64_t>(decoding_.size() + prefilling_.size()) + reserved_;
  }
  [[nodiscard]] std::int64_t kv_used() const { return kv_used_; }
  /// Tokens that wait to be prefilled or lie in the cache: what balancing goes by.
  [[nodiscard]] std::int64_t burden() const { return kv_used_ + waiting_tokens_; }
  /// Tokens to compute until the prompt of `id`, not queued yet, would be done.
  [[nodiscard]] std::int64_t to_compute_with(std::int64_t id) const;

  [[nodiscard]] std::int64_t prefix_hits() const { return prefix_hits_; }
  [[nodiscard]] std::int64_t admitted_tokens() const { return admitted_tokens_; }
  [[nodiscard]] std::int64_t dropped_blocks() const { return prefixes_.dropped(); }

 private:
  struct Prefilling {
    std::int64_t id = 0;
    std::int64_t computed = 0;
    std::int64_t target = 0;
    std::int64_t planned = 0;
    std::int64_t admission = 0;
  };
  struct Decoding {
    std::int64_t id = 0;
    std::int64_t cached_at_start = 0;
    std::int64_t started = 0;  ///< value of decode_steps_
  };

  void add_waiting(std::int64_t id, bool first);
  void decode_from_now(std::int64_t id, std::int64_t admission);
  [[nodiscard]] std::int64_t cached(const Decoding& d) const {
    return d.cached_at_start + decode_steps_ - d.started;
  }
  bool preempt_last(std::vector<std::int64_t>* preempted);
  void plan_prefill(SimTime now, bool admit);
  void finish_decoding(SimTime now, std::vector<std::int64_t>& finished);
  void finish(std::int64_t id, SimTime now, std::vector<std::int64_t>& finished);
  [[nodiscard]] PrefixCache::Blocks whole_blocks(std::int64_t id) const;
  [[nodiscard]] PrefixCache::Blocks reusable(std::int64_t id) const;
  bool admit_first(SimTime now, std::int64_t left);
  void keep_prompt(std::int64_t id);
  void drop(std::int64_t id, std::int64_t tokens);
  void make_room();

  GroupLimits limits_;
  std::vector<ServedRequest>& requests_;
  std::deque<std::int64_t> queue_;
  std::deque<Prefilling> prefilling_;
  std::map<std::int64_t, Decoding> decoding_;  ///< by admission
  /// (decode_steps_ at which it has all its tokens, admission); entries of preempted ones stay.
  std::priority_queue<std::pair<std::int64_t, std::int64_t>,
                      std::vector<std::pair<std::int64_t, std::int64_t>>,
                      std::greater<>>
      ends_;
  std::int64_t next_admission_ = 0;
  std::int64_t decode_steps_ = 0;
  std::int64_t cached_decoding_ = 0;  ///< tokens of the decoding requests in the cache
  std::int64_t kv_used_ = 0;          ///< with what prompts under way will fill
  std::int64_t waiting_tokens_ = 0;
  std::int64_t reserved_ = 0;  ///< places of requests whose cache is on its way
  std::int64_t decoding_now_ = 0;
  std::int64_t prefill_tokens_ = 0;
  PrefixCache prefixes_;
  std::map<std::int64_t, std::size_t> held_;  ///< leading blocks that a request holds, by request
  std::int64_t prefix_hits_ = 0;              ///< tokens
  std::int64_t admitted_tokens_ = 0;          ///< to be computed without a prefix cache
};

}  // namespace moesim
