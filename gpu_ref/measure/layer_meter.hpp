// SPDX-License-Identifier: Apache-2.0
// Measures the layers of a scenario on the attached GPUs: the seam between moesim and the CUDA
// layer. With at least as many GPUs as ranks, the ranks run side by side over NCCL; with fewer, one
// GPU plays one rank after the other with its true rows, and the network is not measured.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gpu_ref/spec.hpp"

namespace moesim::measure {

/// One layer with the routing of all its ranks.
struct RoutedLayer {
  gpu_ref::LayerSpec spec;
  std::vector<std::int32_t> token_begin;  ///< [ranks + 1]
  std::vector<std::int32_t> experts;      ///< [tokens, top_k], distinct within a token
  std::vector<float> weights;             ///< the same, or empty
};

/// One rank's pass.
struct MeasuredRank {
  std::vector<std::pair<std::string, double>> stage_s;  ///< median of each stage, in order
  std::int64_t kept = 0;                                ///< assignments its experts accepted
};

class LayerMeter {
 public:
  LayerMeter() = default;
  LayerMeter(const LayerMeter&) = delete;
  LayerMeter& operator=(const LayerMeter&) = delete;
  virtual ~LayerMeter() = default;

  /// Name of the GPUs.
  [[nodiscard]] virtual std::string device() const = 0;
  [[nodiscard]] virtual int gpus() const = 0;
  [[nodiscard]] virtual bool offers_fp8() = 0;
  /// By rank. Throws std::invalid_argument where no such layer can be.
  [[nodiscard]] virtual std::vector<MeasuredRank> measure(const RoutedLayer& layer) = 0;
};

/// Throws std::runtime_error "no NVIDIA GPU ..." where there is none.
[[nodiscard]] std::unique_ptr<LayerMeter> open_layer_meter();

}  // namespace moesim::measure
