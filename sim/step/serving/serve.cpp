// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/serve.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"
#include "sim/des/event_queue.hpp"

namespace moesim {
namespace {

constexpr std::int32_t kArrival = -1;  // other payloads: the EP group whose step ends

/// Where an attention group is.
struct Seat {
  int ep_group = 0;
  int attention_group = 0;
};

/// Ranks with all attention groups of an EP group, and its step under way.
struct EpGroup {
  std::vector<AttentionGroup> members;
  bool prefills = true;
  bool decodes = true;
  bool stepping = false;
};

/// A uniform sample of the steps seen so far (reservoir; Vitter 1985, algorithm R).
class Sample {
 public:
  Sample(std::uint64_t seed, std::string_view purpose, std::size_t size)
      : rng_(seed, purpose), size_(size) {}
  template <typename Make>
  void offer(const Make& make) {
    ++seen_;
    if (kept.size() < size_) {
      kept.push_back(make());
    } else if (size_ > 0) {
      const std::uint64_t at = rng_.below(seen_);
      if (at < size_) {
        kept[at] = make();
      }
    }
  }
  std::vector<KeptStep> kept;

 private:
  RngStream rng_;
  std::size_t size_;
  std::uint64_t seen_ = 0;
};

class Serving {
 public:
  Serving(std::span<const Request> requests,
          const ServingSetup& setup,
          const StepTime& step_time,
          const StepModel* step,
          const ServeControl& control)
      : setup_(setup),
        spec_(setup.spec),
        step_time_(step_time),
        control_(control),
        series_(ticks(setup.spec.interval)),
        with_prompts_(setup.seed, "checked prefill steps", half(setup.spec.check_steps + 1)),
        decoding_(setup.seed, "checked decode steps", half(setup.spec.check_steps)) {
    for (const Request& request : requests) {
      ServedRequest r;
      r.request = request;
      r.arrival = ticks(request.arrival);
      run_.requests.push_back(r);
    }
    build_groups();
    if (spec_.policy == ServingPolicy::kDisaggregated) {
      MOESIM_CHECK(step != nullptr, "caches move over a cluster");
      network_ = std::make_unique<KvNetwork>(*step);
    }
  }

  ServingRun run() {
    if (!run_.requests.empty()) {
      queue_.push(run_.requests.front().arrival, Phase::kFinish, kArrival);
    }
    while (!queue_.empty() || (network_ != nullptr && !network_->idle())) {
      if (control_.cancelled != nullptr && control_.cancelled->load()) {
        run_.partial = true;
        break;
      }
      next_instant();
      move_caches();
      start_steps();
      state_ = state();
    }
    MOESIM_CHECK(run_.partial || done_ == run_.requests.size(), "a request was lost");
    run_.end = now_;
    run_.kept = std::move(with_prompts_.kept);
    run_.kept.insert(run_.kept.end(), decoding_.kept.begin(), decoding_.kept.end());
    run_.series = series_.bins();
    for (const EpGroup& group : groups_) {
      for (const AttentionGroup& member : group.members) {
        run_.prefix_hits += member.prefix_hits();
        run_.admitted_tokens += member.admitted_tokens();
        run_.dropped_blocks += member.dropped_blocks();
      }
    }
    return std::move(run_);
  }

 private:
  static std::size_t half(int n) { return static_cast<std::size_t>(n / 2); }

  void build_groups() {
    const GroupLimits limits{.max_batch_tokens = spec_.max_batch_tokens,
                             .chunk_tokens = spec_.chunk_tokens,
                             .max_sequences = spec_.max_sequences,
                             .kv_tokens = setup_.kv_tokens,
                             .prefix_block = spec_.prefix_cache ? spec_.prefix_block : 0};
    const bool split = spec_.policy == ServingPolicy::kDisaggregated;
    for (int g = 0; g < spec_.groups; ++g) {
      EpGroup group;
      group.prefills = !split || g < spec_.prefill_groups;
      group.decodes = !split || g >= spec_.prefill_groups;
      for (int a = 0; a < setup_.attention_groups; ++a) {
        group.members.emplace_back(limits, run_.requests);
        (group.prefills ? prefilling_ : decoders_).push_back({g, a});
      }
      groups_.push_back(std::move(group));
    }
  }

  AttentionGroup& member(Seat seat) {
    return groups_[static_cast<std::size_t>(seat.ep_group)]
        .members[static_cast<std::size_t>(seat.attention_group)];
  }
  ServedRequest& request(std::int64_t id) { return run_.requests[static_cast<std::size_t>(id)]; }

  /// Everything that happens at the next instant at which anything does.
  void next_instant() {
    SimTime time = queue_.next_time();
    std::vector<std::int64_t> moved;
    if (network_ != nullptr) {
      moved = network_->advance(time);
      time = moved.empty() ? time : network_->now();
    }
    MOESIM_CHECK(time != SimTime::never(), "nothing is left to happen");
    series_.hold(state_, time);
    now_ = time;
    for (const std::int64_t id : moved) {
      take_over(id);
    }
    while (queue_.next_time() == now_) {
      const std::int32_t payload = queue_.pop().payload;
      if (payload == kArrival) {
        arrive();
      } else {
        end_step(payload);
      }
    }
  }

  void arrive() {
    const auto id = static_cast<std::int64_t>(next_arrival_++);
    if (next_arrival_ < run_.requests.size()) {
      queue_.push(
          request(static_cast<std::int64_t>(next_arrival_)).arrival, Phase::kFinish, kArrival);
    }
    if (spec_.concurrency > 0 && under_way_ >= spec_.concurrency) {
      outside_.push_back(id);
      return;
    }
    come_in(id);
  }

  void come_in(std::int64_t id) {
    ++under_way_;
    ++series_.at(now_).arrivals;
    if (!member(prefilling_.front()).can_hold(request(id).request)) {
      request(id).rejected = true;
      count_done();
      return;
    }
    enqueue(id);
  }

  void enqueue(std::int64_t id) {
    Seat seat = prefilling_.front();
    if (spec_.balance == BalanceRule::kRoundRobin) {
      seat = prefilling_[turn_++ % prefilling_.size()];
    } else if (spec_.balance == BalanceRule::kPrefix) {
      const auto cost = [&](Seat s) {
        return std::pair(member(s).to_compute_with(id), member(s).burden());
      };
      seat = *std::min_element(prefilling_.begin(), prefilling_.end(), [&](Seat a, Seat b) {
        return cost(a) < cost(b);
      });
    } else {
      seat = *std::min_element(prefilling_.begin(), prefilling_.end(), [&](Seat a, Seat b) {
        return member(a).burden() < member(b).burden();
      });
    }
    request(id).ep_group = seat.ep_group;
    request(id).attention_group = seat.attention_group;
    member(seat).enqueue(id);
  }

  void end_step(std::int32_t payload) {
    EpGroup& group = groups_[static_cast<std::size_t>(payload)];
    group.stepping = false;
    const bool split = spec_.policy == ServingPolicy::kDisaggregated;
    SeriesBin& bin = series_.at(now_);
    for (AttentionGroup& member : group.members) {
      finished_.clear();
      bin.prefill_tokens += member.planned_prefill();
      run_.prefilled_tokens += member.planned_prefill();
      bin.output_tokens += member.planned_decode();
      run_.decoded_tokens += member.planned_decode();
      prefilled_.clear();
      member.finish_step(now_, finished_, split && group.prefills ? &prefilled_ : nullptr);
      run_.most_kv_tokens = std::max(run_.most_kv_tokens, member.kv_used());
      ready_.insert(ready_.end(), prefilled_.begin(), prefilled_.end());
      bin.finished += static_cast<std::int64_t>(finished_.size());
      for (std::size_t i = 0; i < finished_.size(); ++i) {
        count_done();
      }
    }
  }

  void count_done() {
    ++done_;
    --under_way_;
    if (!outside_.empty()) {
      const std::int64_t next = outside_.front();
      outside_.pop_front();
      request(next).arrival = now_;
      come_in(next);
    }
    if (control_.on_progress) {
      control_.on_progress(static_cast<std::int64_t>(done_),
                           static_cast<std::int64_t>(run_.requests.size()));
    }
  }

  /// Hands prefilled requests over, the first to come first, while there is room.
  void move_caches() {
    while (!ready_.empty()) {
      const std::int64_t id = ready_.front();
      ServedRequest& r = request(id);
      const std::int64_t tokens = r.to_prefill() - 1;
      const Seat best = *std::min_element(decoders_.begin(), decoders_.end(), [&](Seat a, Seat b) {
        return member(a).burden() < member(b).burden();
      });
      if (!member(best).has_room(tokens + 1)) {
        return;
      }
      ready_.pop_front();
      member(best).reserve(tokens);
      const Seat from{r.ep_group, r.attention_group};
      moving_.emplace(id, std::pair(from, best));
      const auto gpu = [&](Seat seat) {
        return (seat.ep_group * setup_.attention_groups + seat.attention_group) * setup_.tp;
      };
      network_->start(id,
                      {.from_gpu = gpu(from),
                       .to_gpu = gpu(best),
                       .ranks = setup_.tp,
                       .per_rank = static_cast<double>(tokens) * setup_.kv_bytes_per_token});
      ++run_.moves;
    }
  }

  /// The cache of a request has arrived.
  void take_over(std::int64_t id) {
    const auto found = moving_.find(id);
    const auto [from, to] = found->second;
    moving_.erase(found);
    ServedRequest& r = request(id);
    member(from).release(id, r.to_prefill() - 1);
    r.ep_group = to.ep_group;
    r.attention_group = to.attention_group;
    member(to).start_decoding(id);
  }

  void start_steps() {
    for (std::size_t g = groups_.size(); g-- > 0;) {  // what decoders lose goes to prefilling ones
      if (!groups_[g].stepping) {
        start_step(g);
      }
    }
  }

  void start_step(std::size_t g) {
    EpGroup& group = groups_[g];
    std::int64_t tokens = 0;
    std::int64_t prompts = 0;
    loads_.resize(group.members.size());
    for (std::size_t a = 0; a < group.members.size(); ++a) {
      AttentionGroup& member = group.members[a];
      lost_.clear();
      member.plan(now_, group.prefills ? nullptr : &lost_);
      for (const std::int64_t id : lost_) {
        enqueue(id);
      }
      loads_[a].clear();
      member.append_loads(setup_.kv_dtype, loads_[a]);
      tokens += member.planned_tokens();
      prompts += member.planned_prefill();
    }
    if (tokens == 0) {
      return;
    }
    const Seconds time = step_time_(loads_);
    const SimTime lasts = ticks(spec_.step_overhead + time);
    group.stepping = true;
    queue_.push(now_ + lasts, Phase::kFinish, static_cast<std::int32_t>(g));
    run_.busy += lasts;
    ++run_.steps;
    run_.prefill_steps += prompts > 0 ? 1 : 0;
    ++series_.at(now_).steps;
    (prompts > 0 ? with_prompts_ : decoding_).offer([&] {
      KeptStep kept{now_, time, {}};
      for (const AttentionGroup& member : group.members) {
        kept.batch.push_back(member.items());
      }
      return kept;
    });
  }

  [[nodiscard]] ServingState state() {
    ServingState state;
    for (const EpGroup& group : groups_) {
      state.busy_groups += group.stepping ? 1 : 0;
      for (const AttentionGroup& member : group.members) {
        state.waiting += member.waiting();
        state.running += member.running();
        state.kv_tokens += member.kv_used();
        run_.most_kv_tokens = std::max(run_.most_kv_tokens, member.kv_used());
      }
    }
    // A request whose cache moves has a place on both sides.
    state.moving = static_cast<std::int64_t>(moving_.size());
    state.running -= state.moving;
    return state;
  }

  const ServingSetup& setup_;
  const RequestSpec& spec_;
  const StepTime& step_time_;
  const ServeControl& control_;
  ServingRun run_;
  ServingSeries series_;
  Sample with_prompts_;
  Sample decoding_;
  EventQueue queue_;
  std::unique_ptr<KvNetwork> network_;
  std::vector<EpGroup> groups_;
  std::vector<Seat> prefilling_;  ///< attention groups that prompts go to
  std::vector<Seat> decoders_;    ///< kDisaggregated: those that caches go to
  std::map<std::int64_t, std::pair<Seat, Seat>> moving_;
  std::deque<std::int64_t> ready_;  ///< prefilled, not yet moving
  ServingState state_;
  SimTime now_;
  std::size_t next_arrival_ = 0;
  std::size_t turn_ = 0;
  std::size_t done_ = 0;
  std::int64_t under_way_ = 0;
  std::deque<std::int64_t> outside_;  ///< requests beyond the concurrency
  GroupLoads loads_;
  std::vector<std::int64_t> finished_;
  std::vector<std::int64_t> prefilled_;
  std::vector<std::int64_t> lost_;
};

}  // namespace

ServingRun serve(std::span<const Request> requests,
                 const ServingSetup& setup,
                 const StepTime& step_time,
                 const StepModel* step,
                 const ServeControl& control) {
  ServingRun run = Serving(requests, setup, step_time, step, control).run();
  for (const ServedRequest& request : run.requests) {
    run.preemptions += request.preemptions;
  }
  return run;
}

}  // namespace moesim
