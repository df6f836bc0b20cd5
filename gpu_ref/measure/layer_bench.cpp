// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/layer_bench.hpp"

#include <optional>

#include "gpu_ref/layer/exchange.hpp"
#include "gpu_ref/measure/gpu_fill.hpp"
#include "gpu_ref/measure/layer_pass.hpp"
#include "gpu_ref/measure/loads.hpp"
#include "gpu_ref/measure/mistake.hpp"
#include "gpu_ref/ops/fp8_gemm.hpp"

namespace moesim::measure {
namespace {

using gpu_ref::Bf16;
using gpu_ref::DeviceBuffer;
using gpu_ref::LayerSpec;
using gpu_ref::StreamHandle;

constexpr float kWeightScale = 0.02F;

DeviceBuffer<Bf16> random_buffer(
    std::int64_t rows, std::int64_t columns, float scale, std::uint64_t seed, StreamHandle stream) {
  DeviceBuffer<Bf16> buffer(static_cast<std::size_t>(rows * columns));
  fill_random(buffer.data(), rows * columns, scale, seed, stream);
  return buffer;
}

LayerSpec spec_of(const LayerInput& input) {
  LayerSpec spec;
  spec.shape = {.hidden = static_cast<int>(input.hidden),
                .expert_width = static_cast<int>(input.width),
                .num_experts = static_cast<int>(input.counts.size()),
                .top_k = static_cast<int>(input.top_k),
                .shared_width = 0};
  spec.precision =
      input.type == ElementType::kFp8 ? gpu_ref::Precision::kFp8 : gpu_ref::Precision::kBf16;
  return spec;
}

/// Gradients of all weights and tokens.
struct Gradients {
  Gradients(const LayerSpec& spec, std::int64_t tokens)
      : x(static_cast<std::size_t>(tokens * spec.shape.hidden)),
        gate(weights(spec.shape.num_experts, spec.shape.hidden)),
        gate_up(weights(spec.slots_per_rank(), 2 * spec.shape.expert_width, spec.shape.hidden)),
        down(weights(spec.slots_per_rank(), spec.shape.expert_width, spec.shape.hidden)) {}

  static std::size_t weights(std::int64_t a, std::int64_t b, std::int64_t c = 1) {
    return static_cast<std::size_t>(a * b * c);
  }
  [[nodiscard]] gpu_ref::RankGradients pointers() const {
    gpu_ref::RankGradients gradients;
    gradients.x = x.data();
    gradients.gate = gate.data();
    gradients.gate_up = gate_up.data();
    gradients.down = down.data();
    return gradients;
  }

  DeviceBuffer<Bf16> x;
  DeviceBuffer<float> gate;
  DeviceBuffer<Bf16> gate_up;
  DeviceBuffer<Bf16> down;
};

/// A layer with its operands; one pass at a time.
class LayerRun {
 public:
  LayerRun(const LayerInput& input, GpuTimer& timer)
      : timer_(timer),
        spec_(spec_of(input)),
        experts_(routing_of_counts(input.counts, input.tokens, input.top_k, 1)),
        tokens_(input.tokens),
        weights_(spec_, timer.stream()),
        x_(random_buffer(input.tokens, input.hidden, 1, 11, timer.stream())),
        out_(x_.size()),
        layer_(spec_, 0, weights_.pointers(), timer.stream()),
        exchange_({.ranks = 1, .experts = spec_.shape.num_experts, .counts = counts_of(input)}) {
    if (input.backward) {
      d_out_ = random_buffer(input.tokens, input.hidden, 1, 12, timer.stream());
      gradients_.emplace(spec_, input.tokens);
    }
  }

  /// Stage times of the forward pass, or of the backward pass behind one.
  std::vector<gpu_ref::StageTime> pass(bool flush) {
    const bool backward = gradients_.has_value();
    layer_.set_clock(backward ? nullptr : &clock_);
    if (flush && !backward) {
      timer_.flush();
    }
    const gpu_ref::GivenRouting given{.experts = experts_, .weights = {}};
    forward_without_gaps(
        layer_,
        exchange_,
        {.x = x_.data(), .out = out_.data(), .num_tokens = tokens_, .given = &given},
        timer_);
    if (backward) {
      layer_.set_clock(&clock_);
      if (flush) {
        timer_.flush();
      }
      hold_for_pass(timer_);
      gpu_ref::backward(layer_, exchange_, d_out_.data(), gradients_->pointers());
    }
    return clock_.read();
  }

 private:
  static std::vector<std::int32_t> counts_of(const LayerInput& input) {
    return {input.counts.begin(), input.counts.end()};
  }

  GpuTimer& timer_;
  LayerSpec spec_;
  std::vector<std::int32_t> experts_;
  std::int64_t tokens_;
  RandomWeights weights_;
  DeviceBuffer<Bf16> x_;
  DeviceBuffer<Bf16> out_;
  DeviceBuffer<Bf16> d_out_;
  std::optional<Gradients> gradients_;
  gpu_ref::StageClock clock_;
  gpu_ref::RankLayer layer_;
  gpu_ref::StandInExchange exchange_;
};

}  // namespace

RandomWeights::RandomWeights(const LayerSpec& spec, StreamHandle stream)
    : gate_(random_buffer(spec.shape.num_experts, spec.shape.hidden, kWeightScale, 1, stream)),
      gate_up_(random_buffer(std::int64_t{2} * spec.slots_per_rank() * spec.shape.expert_width,
                             spec.shape.hidden,
                             kWeightScale,
                             2,
                             stream)),
      down_(random_buffer(std::int64_t{1} * spec.slots_per_rank() * spec.shape.expert_width,
                          spec.shape.hidden,
                          kWeightScale,
                          3,
                          stream)),
      shared_gate_up_(random_buffer(
          std::int64_t{2} * spec.shape.shared_width, spec.shape.hidden, kWeightScale, 4, stream)),
      shared_down_(
          random_buffer(spec.shape.shared_width, spec.shape.hidden, kWeightScale, 5, stream)) {}

gpu_ref::RankWeights RandomWeights::pointers() const {
  gpu_ref::RankWeights weights;
  weights.gate = gate_.data();
  weights.gate_up = gate_up_.data();
  weights.down = down_.data();
  weights.shared_gate_up = shared_gate_up_.data();
  weights.shared_down = shared_down_.data();
  return weights;
}

double StageSamples::add(const std::vector<gpu_ref::StageTime>& pass) {
  std::map<std::string, double> sums;
  double all = 0;
  for (const gpu_ref::StageTime& time : pass) {
    const std::string name(gpu_ref::stage_name(time.stage));
    if (!seconds.contains(name)) {
      names.push_back(name);
      seconds[name] = {};
    }
    sums[name] += time.time.value;
    all += time.time.value;
  }
  for (const auto& [name, sum] : sums) {
    seconds[name].push_back(sum);
  }
  return all;
}

JsonLine StageSamples::medians() const {
  JsonLine json;
  for (const std::string& name : names) {
    json.add(name, summarise_samples(seconds.at(name)).median);
  }
  return json;
}

Timing bench(const LayerInput& input, BenchTools tools, const Sampling& sampling) {
  if (input.type == ElementType::kFp8 && !gpu_ref::has_fp8_block_gemm(tools.blas)) {
    throw CaseSkipped("cuBLASLt offers no FP8 GEMM with block scales on this device");
  }
  LayerRun run(input, tools.timer);
  const bool flush = sampling.l2 == L2State::kCold;
  for (int i = 0; i < kWarmupPasses; ++i) {
    (void)run.pass(flush);
  }
  StageSamples stages;
  Timing timing;
  timing.warmup = kWarmupPasses;
  const double begin = host_time();
  do {
    timing.samples_s.push_back(stages.add(run.pass(flush)));
    timing.stop = stop_now(sampling.rule, timing.samples_s, host_time() - begin);
  } while (timing.stop == StopReason::kGoOn);
  timing.extra.add("stages_s", stages.medians());
  return timing;
}

}  // namespace moesim::measure
