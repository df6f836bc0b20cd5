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

void AttentionGroup::release(std::int64_t tokens) {
  kv_used_ -= tokens;
  --reserved_;
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
    kv_used_ -= prefilling_.back().target;
    prefilling_.pop_back();
  } else {
    MOESIM_CHECK(decoding_.size() > 1 || !prefilling_.empty() || reserved_ > 0,
                 "a request alone does not fit the cache");
    const auto last = std::prev(decoding_.end());
    id = last->second.id;
    ServedRequest& r = requests_[static_cast<std::size_t>(id)];
    r.generated += decode_steps_ - last->second.started;
    kv_used_ -= cached(last->second);
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
  while (admit && left > 0 && !queue_.empty()) {
    const std::int64_t id = queue_.front();
    ServedRequest& r = requests_[static_cast<std::size_t>(id)];
    const std::int64_t target = r.to_prefill();
    if (!has_room(target) || (!cut && target > left)) {
      break;
    }
    queue_.pop_front();
    waiting_tokens_ -= target;
    kv_used_ += target;
    r.first_scheduled = r.scheduled ? r.first_scheduled : now;
    r.scheduled = true;
    prefilling_.push_back({.id = id, .target = target, .admission = next_admission_++});
    take(prefilling_.back());
  }
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
    kv_used_ -= cached(found->second);
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
    ServedRequest& r = requests_[static_cast<std::size_t>(p->id)];
    r.first_token = r.generated == 0 ? now : r.first_token;
    ++r.generated;
    if (r.generated == r.request.output_tokens) {
      kv_used_ -= p->target;
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
}

}  // namespace moesim
