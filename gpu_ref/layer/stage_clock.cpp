// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/layer/stage_clock.hpp"

#include <array>

namespace moesim::gpu_ref {
namespace {

constexpr std::array<std::string_view, 24> kNames = {"gate",
                                                     "place",
                                                     "spread",
                                                     "dispatch",
                                                     "regroup",
                                                     "gate_up",
                                                     "activation",
                                                     "down",
                                                     "ungroup",
                                                     "return",
                                                     "shared",
                                                     "combine",
                                                     "losses",
                                                     "combine_backward",
                                                     "gradient_dispatch",
                                                     "regroup_backward",
                                                     "down_backward",
                                                     "activation_backward",
                                                     "gate_up_backward",
                                                     "ungroup_backward",
                                                     "gradient_return",
                                                     "spread_backward",
                                                     "shared_backward",
                                                     "gate_backward"};
static_assert(kNames.size() == static_cast<std::size_t>(Stage::kGateBackward) + 1);

}  // namespace

std::string_view stage_name(Stage stage) {
  return kNames.at(static_cast<std::size_t>(stage));
}

bool is_transfer(Stage stage) {
  return stage == Stage::kDispatch || stage == Stage::kReturn ||
         stage == Stage::kGradientDispatch || stage == Stage::kGradientReturn;
}

void StageClock::start(Stage stage, StreamHandle stream) {
  if (used_ == laps_.size()) {
    laps_.emplace_back();
  }
  laps_[used_].stage = stage;
  laps_[used_].begin.record(stream);
}

void StageClock::stop(StreamHandle stream) {
  laps_.at(used_).end.record(stream);
  ++used_;
}

std::vector<StageTime> StageClock::read() {
  std::vector<StageTime> times;
  for (std::size_t i = 0; i < used_; ++i) {
    laps_[i].end.wait();
    times.push_back({laps_[i].stage, laps_[i].end.since(laps_[i].begin)});
  }
  used_ = 0;
  return times;
}

}  // namespace moesim::gpu_ref
