// SPDX-License-Identifier: Apache-2.0
// A whole layer with random weights, on the oracle's side and on the device's.
#pragma once

#include <memory>

#include "gpu_ref/layer/exchange.hpp"
#include "gpu_ref/oracle/layer.hpp"
#include "tests/gpu_ref/device/on_device.hpp"

namespace moesim::gpu_ref::testing {

/// Random weights and tokens of all ranks, as bf16 and as the doubles that those are.
struct LayerCase {
  LayerCase(const LayerSpec& spec,
            std::vector<std::int32_t> tokens_of_rank,
            const std::string& name);

  LayerSpec spec;
  std::vector<std::int32_t> token_begin;  ///< [ranks + 1]
  std::vector<Bf16> x, d_out, gate, gate_up, down, shared_gate_up, shared_down;
  std::vector<float> bias;
  std::vector<std::int32_t> given_experts;  ///< empty: the gate routes
  std::vector<float> given_weights;

  [[nodiscard]] std::int64_t num_tokens(int rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return token_begin[r + 1] - token_begin[r];
  }
  [[nodiscard]] oracle::LayerWeights oracle_weights() const;
  [[nodiscard]] oracle::LayerTokens oracle_tokens() const;
};

/// One rank's share of a case on the device.
class DeviceRank {
 public:
  DeviceRank(const LayerCase& layer_case, int rank, StreamHandle stream);

  [[nodiscard]] RankWeights weights() const;
  [[nodiscard]] RankGradients gradients() const;
  /// Valid as long as this.
  [[nodiscard]] RankTokens tokens() const;
  [[nodiscard]] const Bf16* d_out() const { return d_out_.data(); }
  [[nodiscard]] RankLayer& layer() { return *layer_; }

  /// Compares with the oracle: choice, drops, losses, output.
  void check_forward(const LayerCase& layer_case,
                     const oracle::LayerPass& expected,
                     const Tolerance& tolerance);
  void check_backward(const LayerCase& layer_case,
                      const oracle::LayerGradients& expected,
                      const Tolerance& tolerance);

 private:
  int rank_ = 0;
  StreamHandle stream_ = nullptr;
  DeviceBuffer<Bf16> x_, d_out_, gate_, gate_up_, down_, shared_gate_up_, shared_down_;
  DeviceBuffer<float> bias_;
  DeviceBuffer<Bf16> out_, d_x_, d_gate_up_, d_down_, d_shared_gate_up_, d_shared_down_;
  DeviceBuffer<float> d_gate_;
  GivenRouting given_;
  bool is_given_ = false;
  std::int64_t num_tokens_ = 0;
  std::unique_ptr<RankLayer> layer_;
};

}  // namespace moesim::gpu_ref::testing
