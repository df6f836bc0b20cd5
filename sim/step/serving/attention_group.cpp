// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/attention_group.hpp"

#include <algorithm>
#include <functional>

#include "sim/core/check.hpp"

namespace moesim {

bool AttentionGroup::can_hold(const Request& request) const {
  const std::int64_t most = request.prompt_tokens + request.output_tokens - 1;
  return most <= limits_.kv_tokens &&
         (limits_.chunk_tokens > 0 || most <= limits_.max_batch_tokens);
}

void AttentionGroup::add_waiting(std::int64_t id, bool first) {
  if (first) {
    queue_.push_front(id);
  } else {
    queue_.push_back(id);
  }
  waiting_tokens_ += requests_[static_cast<std::size_t>(id)].to_prefill();
}

bool AttentionGroup::has_room(std::int64_t tokens) const {
  return running() < limits_.max_sequences &&
         kv_used_ + static_cast<std::int64_t>(decoding_.size()) + tokens <= limits_.kv_tokens;
}

void AttentionGroup::reserve(std::int64_t tokens) {
  ++reserved_;
  kv_used_ += tokens;
}

void AttentionGroup::release(std::int64_t id, std::int64_t tokens) {
  drop(id, tokens);
  --reserved_;
}

std::int64_t AttentionGroup::to_compute_with(std::int64_t id) const {
  std::int64_t tokens = waiting_tokens_ + requests_[static_cast<std::size_t>(id)].to_prefill() -
                        static_cast<std::int64_t>(reusable(id).size()) * limits_.prefix_block;
  for (const Prefilling& p : prefilling_) {
    tokens += p.target - p.computed;
  }
  return tokens;
}

/// Those that other prompts may share.
PrefixCache::Blocks AttentionGroup::whole_blocks(std::int64_t id) const {
  if (limits_.prefix_block == 0) {
    return {};
  }
  const Request& request = requests_[static_cast<std::size_t>(id)].request;
  const auto whole = static_cast<std::size_t>(request.prompt_tokens / limits_.prefix_block);
  return PrefixCache::Blocks(request.blocks).first(std::min(whole, request.blocks.size()));
}

/// Of these, the leading ones that are cached; one token at least is left to compute.
PrefixCache::Blocks AttentionGroup::reusable(std::int64_t id) const {
  const PrefixCache::Blocks blocks = whole_blocks(id);
  if (blocks.empty()) {
    return blocks;
  }
  const std::int64_t most =
      (requests_[static_cast<std::size_t>(id)].to_prefill() - 1) / limits_.prefix_block;
  const std::int64_t matched = std::min(prefixes_.matched(blocks), most);
  return blocks.first(static_cast<std::size_t>(matched));
}

/// The prompt of `id` is computed: its whole blocks are there for others. Those that another
/// request brought meanwhile are not kept twice.
void AttentionGroup::keep_prompt(std::int64_t id) {
  const PrefixCache::Blocks blocks = whole_blocks(id);
  if (blocks.empty()) {
    return;
  }
  std::size_t& held = held_[id];
  const PrefixCache::Blocks fresh = blocks.subspan(held);
  kv_used_ -= static_cast<std::int64_t>(fresh.size()) * limits_.prefix_block;
  kv_used_ += prefixes_.hold(fresh) * limits_.prefix_block;
  held = blocks.size();
}

/// Of a request's `tokens` in the cache, blocks of prefixes stay there, held by nobody.
void AttentionGroup::drop(std::int64_t id, std::int64_t tokens) {
  const auto found = held_.find(id);
  if (found != held_.end()) {
    tokens -= static_cast<std::int64_t>(found->second) * limits_.prefix_block;
    kv_used_ -= prefixes_.give_back(whole_blocks(id).first(found->second)) * limits_.prefix_block;
    held_.erase(found);
  }
  kv_used_ -= tokens;
}

/// Unheld blocks go where requests need the room.
void AttentionGroup::make_room() {
  if (limits_.prefix_block > 0) {
    const std::int64_t left = std::max<std::int64_t>(limits_.kv_tokens - kv_used_, 0);
    prefixes_.shrink(left / limits_.prefix_block);
  }
}

void AttentionGroup::start_decoding(std::int64_t id) {
  --reserved_;
  decode_from_now(id, next_admission_++);
}

void AttentionGroup::decode_from_now(std::int64_t id, std::int64_t admission) {
  const ServedRequest& r = requests_[static_cast<std::size_t>(id)];
  const std::int64_t in_cache = r.to_prefill() - 1;  // the last token comes in with the next step
  decoding_.emplace(admission, Decoding{id, in_cache, decode_steps_});
  ends_.emplace(decode_steps_ + r.request.output_tokens - r.generated, admission);
  cached_decoding_ += in_cache;
}

bool AttentionGroup::preempt_last(std::vector<std::int64_t>* preempted) {
  std::int64_t id = -1;
  const bool of_prompts =
      !prefilling_.empty() &&
      (decoding_.empty() || prefilling_.back().admission > decoding_.rbegin()->first);
  if (of_prompts) {
    id = prefilling_.back().id;
    drop(id, prefilling_.back().target);
    prefilling_.pop_back();
  } else {
    MOESIM_CHECK(decoding_.size() > 1 || !prefilling_.empty() || reserved_ > 0,
                 "a request alone does not fit the cache");
    const auto last = std::prev(decoding_.end());
    id = last->second.id;
    ServedRequest& r = requests_[static_cast<std::size_t>(id)];
    r.generated += decode_steps_ - last->second.started;
    drop(id, cached(last->second));
    cached_decoding_ -= cached(last->second);
    decoding_.erase(last);
  }
  ++requests_[static_cast<std::size_t>(id)].preemptions;
  if (preempted != nullptr) {
    preempted->push_back(id);
  } else {
    add_waiting(id, true);
  }
  return true;
}

void AttentionGroup::plan(SimTime now, std::vector<std::int64_t>* preempted) {
  bool lost = false;
  while (kv_used_ + static_cast<std::int64_t>(decoding_.size()) > limits_.kv_tokens) {
    lost = preempt_last(preempted);
  }
  decoding_now_ = static_cast<std::int64_t>(decoding_.size());
  plan_prefill(now, !lost);
}

void AttentionGroup::plan_prefill(SimTime now, bool admit) {
  prefill_tokens_ = 0;
  std::int64_t left = limits_.max_batch_tokens - decoding_now_;
  const bool cut = limits_.chunk_tokens > 0;
  left = cut ? std::min<std::int64_t>(left, limits_.chunk_tokens) : left;
  const auto take = [&](Prefilling& p) {
    p.planned = std::min(left, p.target - p.computed);
    left -= p.planned;
    prefill_tokens_ += p.planned;
  };
  for (Prefilling& p : prefilling_) {
    take(p);
  }
  while (admit && left > 0 && !queue_.empty() && admit_first(now, left)) {
    take(prefilling_.back());
  }
}

/// The head of the queue, if the cache and, of prompts that are not cut, the batch have room.
bool AttentionGroup::admit_first(SimTime now, std::int64_t left) {
  const std::int64_t id = queue_.front();
  ServedRequest& r = requests_[static_cast<std::size_t>(id)];
  const std::int64_t target = r.to_prefill();
  const PrefixCache::Blocks reused = reusable(id);
  const std::int64_t cached = static_cast<std::int64_t>(reused.size()) * limits_.prefix_block;
  const std::int64_t taken =
      target - cached + (reused.empty() ? 0 : prefixes_.not_held(reused) * limits_.prefix_block);
  if (!has_room(taken) || (limits_.chunk_tokens == 0 && target - cached > left)) {
    return false;
  }
  queue_.pop_front();
  waiting_tokens_ -= target;
  kv_used_ += taken;
  if (!reused.empty()) {
    prefixes_.hold(reused);
    held_[id] = reused.size();
  }
  make_room();
  prefix_hits_ += cached;
  admitted_tokens_ += target;
  r.first_scheduled = r.scheduled ? r.first_scheduled : now;
  r.scheduled = true;
  prefilling_.push_back(
      {.id = id, .computed = cached, .target = target, .admission = next_admission_++});
  return true;
}

void AttentionGroup::append_loads(Dtype kv_dtype, std::vector<AttentionLoad>& loads) const {
  if (decoding_now_ > 0) {
    const std::int64_t contexts = cached_decoding_ + decoding_now_;
    loads.push_back({.kind = StepKind::kDecode,
                     .sequences = decoding_now_,
                     .new_tokens = 1,
                     .context = (contexts + decoding_now_ / 2) / decoding_now_,
                     .kv_dtype = kv_dtype});
  }
  for (const Prefilling& p : prefilling_) {
    if (p.planned > 0) {
      loads.push_back({.kind = StepKind::kPrefill,
                       .sequences = 1,
                       .new_tokens = p.planned,
                       .context = p.computed + p.planned,
                       .kv_dtype = kv_dtype});
    }
  }
}

std::vector<BatchItem> AttentionGroup::items() const {
  std::vector<BatchItem> items;
  for (const auto& [admission, d] : decoding_) {
    items.push_back({d.id, cached(d), 1, StepKind::kDecode});
  }
  for (const Prefilling& p : prefilling_) {
    if (p.planned > 0) {
      items.push_back({p.id, p.computed, p.planned, StepKind::kPrefill});
    }
  }
  return items;
}

void AttentionGroup::finish(std::int64_t id, SimTime now, std::vector<std::int64_t>& finished) {
  ServedRequest& r = requests_[static_cast<std::size_t>(id)];
  r.generated = r.request.output_tokens;
  r.finished = now;
  r.done = true;
  finished.push_back(id);
}

void AttentionGroup::finish_decoding(SimTime now, std::vector<std::int64_t>& finished) {
  if (decoding_now_ == 0) {
    return;
  }
  ++decode_steps_;
  cached_decoding_ += decoding_now_;
  kv_used_ += decoding_now_;
  while (!ends_.empty() && ends_.top().first <= decode_steps_) {
    const auto found = decoding_.find(ends_.top().second);
    ends_.pop();
    if (found == decoding_.end()) {
      continue;  // was preempted
    }
    cached_decoding_ -= cached(found->second);
    drop(found->second.id, cached(found->second));
    finish(found->second.id, now, finished);
    decoding_.erase(found);
  }
}

void AttentionGroup::finish_step(SimTime now,
                                 std::vector<std::int64_t>& finished,
                                 std::vector<std::int64_t>* prefilled) {
  finish_decoding(now, finished);
  for (auto p = prefilling_.begin(); p != prefilling_.end();) {
    p->computed += p->planned;
    p->planned = 0;
    if (p->computed < p->target) {
      ++p;
      continue;
    }
    keep_prompt(p->id);
    ServedRequest& r = requests_[static_cast<std::size_t>(p->id)];
    r.first_token = r.generated == 0 ? now : r.first_token;
    ++r.generated;
    if (r.generated == r.request.output_tokens) {
      drop(p->id, p->target);
      finish(p->id, now, finished);
    } else if (prefilled != nullptr) {
      ++reserved_;  // it keeps its place until the other group has its cache
      prefilled->push_back(p->id);
    } else {
      decode_from_now(p->id, p->admission);
    }
    p = prefilling_.erase(p);
  }
  decoding_now_ = prefill_tokens_ = 0;
  make_room();
}

}  // namespace moesim
