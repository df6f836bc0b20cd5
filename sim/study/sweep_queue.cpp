// SPDX-License-Identifier: Apache-2.0
#include "sim/study/sweep_queue.hpp"

#include <utility>

#include "sim/core/diagnostics.hpp"
#include "sim/study/process_name.hpp"

namespace moesim {
namespace {

using namespace std::chrono_literals;

constexpr auto kLease = std::chrono::seconds(60);
constexpr auto kBetweenLooks = 200ms;

}  // namespace

SweepQueue::SweepQueue(ResultStore& store, std::vector<std::string> keys)
    : store_(store), keys_(std::move(keys)), owner_(this_process()) {
  tally_.total = keys_.size();
  keeper_ = std::thread([this] { keep_claims(); });
}

SweepQueue::~SweepQueue() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  keeper_.join();
}

void SweepQueue::keep_claims() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLease / 4, [this] { return over_; })) {
    lock.unlock();
    try {
      store_.renew(owner_, kLease);
    } catch (const EnvironmentError&) {
      // The claims run out; whoever finishes a point will meet the same error and report it.
    }
    lock.lock();
  }
}

SweepQueue::Next SweepQueue::next() {
  const std::scoped_lock lock(mutex_);
  while (!stopped_ && cursor_ < keys_.size()) {
    const std::size_t index = cursor_++;
    switch (store_.claim(keys_[index], owner_, kLease)) {
      case Claim::kTaken:
        return {Kind::kWork, index};
      case Claim::kDecided:
        ++tally_.known;
        break;
      case Claim::kHeld:
        held_.push_back(index);
        break;
    }
  }
  return stopped_ || held_.empty() ? Next{} : next_held();
}

SweepQueue::Next SweepQueue::next_held() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_ < kBetweenLooks) {
    return {Kind::kWait, 0};
  }
  looked_ = now;
  std::vector<std::size_t> still_held;
  Next found{Kind::kNone, 0};
  for (const std::size_t index : held_) {
    const Claim claim =
        found.kind == Kind::kWork ? Claim::kHeld : store_.claim(keys_[index], owner_, kLease);
    if (claim == Claim::kHeld) {
      still_held.push_back(index);
    } else if (claim == Claim::kTaken) {
      found = {Kind::kWork, index};
      looked_ = {};
    } else {
      ++tally_.known;
    }
  }
  held_ = std::move(still_held);
  return found.kind == Kind::kNone && !held_.empty() ? Next{Kind::kWait, 0} : found;
}

void SweepQueue::finish(std::size_t index, const Evaluation& result, double seconds) {
  store_.finish(keys_[index], result, seconds);
  const std::scoped_lock lock(mutex_);
  ++tally_.done;
  tally_.refused += result.refused ? 1 : 0;
}

void SweepQueue::give_back(std::size_t index) {
  store_.give_back(keys_[index], owner_);
}

void SweepQueue::stop() {
  const std::scoped_lock lock(mutex_);
  stopped_ = true;
}

SweepTally SweepQueue::tally() const {
  const std::scoped_lock lock(mutex_);
  return tally_;
}

}  // namespace moesim
