// SPDX-License-Identifier: Apache-2.0
// Whole MoE layers: the `layer` kind, and the ranks of a scenario one after the other.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "gpu_ref/layer/rank_layer.hpp"
#include "gpu_ref/measure/op_benches.hpp"

namespace moesim::measure {

/// Random weights of one rank, owned.
class RandomWeights {
 public:
  RandomWeights(const gpu_ref::LayerSpec& spec, gpu_ref::StreamHandle stream);
  [[nodiscard]] gpu_ref::RankWeights pointers() const;

 private:
  gpu_ref::DeviceBuffer<gpu_ref::Bf16> gate_;
  gpu_ref::DeviceBuffer<gpu_ref::Bf16> gate_up_;
  gpu_ref::DeviceBuffer<gpu_ref::Bf16> down_;
  gpu_ref::DeviceBuffer<gpu_ref::Bf16> shared_gate_up_;
  gpu_ref::DeviceBuffer<gpu_ref::Bf16> shared_down_;
};

/// Samples of each stage, by name, in order of first appearance in `names`.
struct StageSamples {
  std::vector<std::string> names;
  std::map<std::string, std::vector<double>> seconds;

  /// Adds one pass; returns the sum of its stages.
  double add(const std::vector<gpu_ref::StageTime>& pass);
  /// {"gate":...,...}: medians.
  [[nodiscard]] JsonLine medians() const;
};

[[nodiscard]] Timing bench(const LayerInput& input, BenchTools tools, const Sampling& sampling);

}  // namespace moesim::measure
