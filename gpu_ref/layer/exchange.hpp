// SPDX-License-Identifier: Apache-2.0
// How rows change ranks: over NCCL, or, where one GPU plays one rank after the other, not at all.
#pragma once

#include <span>

#include "gpu_ref/device/buffer.hpp"
#include "gpu_ref/device/communicator.hpp"
#include "gpu_ref/layer/rank_layer.hpp"

namespace moesim::gpu_ref {

class Exchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  virtual ~Exchange() = default;

  /// The counts of all ranks.
  [[nodiscard]] virtual CountMatrix gather_counts(RankLayer& layer) = 0;
  /// Enqueues the transfer on the layer's stream.
  virtual void move(const RankLayer& layer, Transfer transfer) = 0;
  /// Whether times of transfers are those of a network.
  [[nodiscard]] virtual bool uses_network() const = 0;
};

/// Grouped sends and receives, one range a peer. With one rank the same calls go to itself.
class NcclExchange final : public Exchange {
 public:
  /// `communicator` must outlive this and have spec.ranks ranks.
  explicit NcclExchange(Communicator& communicator);
  [[nodiscard]] CountMatrix gather_counts(RankLayer& layer) override;
  void move(const RankLayer& layer, Transfer transfer) override;
  [[nodiscard]] bool uses_network() const override { return true; }

 private:
  Communicator& communicator_;
  DeviceBuffer<std::int32_t> all_counts_;
};

/// Ranks in turn: the counts of all ranks are known beforehand (from the routing), and what would
/// have arrived is stood in for by this rank's own outgoing rows, repeated. Row counts, and so the
/// work of every stage but the transfers, are the true ones; values are only plausible.
class StandInExchange final : public Exchange {
 public:
  /// counts: assignments of every rank before capacity (count_matrix).
  explicit StandInExchange(CountMatrix counts);
  [[nodiscard]] CountMatrix gather_counts(RankLayer& layer) override;
  void move(const RankLayer& layer, Transfer transfer) override;
  [[nodiscard]] bool uses_network() const override { return false; }

 private:
  CountMatrix counts_;
};

/// Tokens of one rank: device pointers of num_tokens rows of hidden bf16, and where they come out.
struct RankTokens {
  const Bf16* x = nullptr;
  Bf16* out = nullptr;
  std::int64_t num_tokens = 0;
  const GivenRouting* given = nullptr;  ///< null: the gate routes
};

/// Moves the rows of one transfer. Over a network it is a stage of the layer's clock; what stands
/// in for one is not timed.
void transfer_rows(RankLayer& layer, Exchange& exchange, Transfer transfer);

/// One forward pass: all phases and transfers of `layer`.
void forward(RankLayer& layer, Exchange& exchange, const RankTokens& tokens);

/// The backward pass of the last forward. d_out [T, H] bf16 on the device.
void backward(RankLayer& layer,
              Exchange& exchange,
              const Bf16* d_out,
              const RankGradients& gradients);

/// All ranks of a group on one GPU with their true rows: every phase for each rank in turn, rows
/// copied between their buffers in between. For tests and small groups: memory is that of all
/// ranks.
void forward_in_turn(std::span<RankLayer* const> layers, std::span<const RankTokens> tokens);
void backward_in_turn(std::span<RankLayer* const> layers,
                      std::span<const Bf16* const> d_out,
                      std::span<const RankGradients> gradients);

}  // namespace moesim::gpu_ref
