// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/layer_meter.hpp"

#include <algorithm>
#include <exception>
#include <optional>
#include <stdexcept>
#include <thread>

#include "gpu_ref/device/devices.hpp"
#include "gpu_ref/measure/gpu_fill.hpp"
#include "gpu_ref/measure/layer_bench.hpp"
#include "gpu_ref/measure/layer_pass.hpp"
#include "gpu_ref/measure/require_gpus.hpp"
#include "gpu_ref/ops/fp8_gemm.hpp"

namespace moesim::measure {
namespace {

using gpu_ref::Bf16;
using gpu_ref::CountMatrix;
using gpu_ref::DeviceBuffer;
using gpu_ref::LayerSpec;

constexpr int kPasses = 7;  ///< the same at all ranks, which meet in every pass

std::int64_t tokens_of(const RoutedLayer& layer, int rank) {
  const auto r = static_cast<std::size_t>(rank);
  return layer.token_begin[r + 1] - layer.token_begin[r];
}

/// The part of a list with top_k entries a token that is the rank's.
template <typename T>
std::span<const T> part_of_rank(const std::vector<T>& list, const RoutedLayer& layer, int rank) {
  const auto top_k = static_cast<std::size_t>(layer.spec.shape.top_k);
  const auto first = static_cast<std::size_t>(layer.token_begin[static_cast<std::size_t>(rank)]);
  return list.empty()
             ? std::span<const T>()
             : std::span(list).subspan(first * top_k,
                                       static_cast<std::size_t>(tokens_of(layer, rank)) * top_k);
}

/// What stays on a GPU from layer to layer: buffers, weights, a communicator.
class Place {
 public:
  Place(int gpu, std::int64_t l2_bytes) : gpu_(gpu), timer_(l2_bytes) {}

  [[nodiscard]] GpuTimer& timer() { return timer_; }

  void join(const gpu_ref::CommunicatorId& id, int ranks, int rank) {
    if (!communicator_ || communicator_->ranks() != ranks) {
      communicator_.reset();
      communicator_ = std::make_unique<gpu_ref::Communicator>(id, ranks, rank);
    }
  }

  /// Ranks side by side: the transfers are real.
  MeasuredRank with_peers(const RoutedLayer& layer, int rank) {
    gpu_ref::NcclExchange exchange(*communicator_);
    return passes(layer, rank, exchange);
  }

  /// One rank alone, among peers whose counts are known.
  MeasuredRank in_turn(const RoutedLayer& layer, int rank, const CountMatrix& counts) {
    gpu_ref::StandInExchange exchange(counts);
    return passes(layer, rank, exchange);
  }

  void use() const { gpu_ref::use_device(gpu_); }

 private:
  void prepare(const LayerSpec& spec, std::int64_t tokens) {
    const gpu_ref::LayerShape& s = spec.shape;
    const std::vector<int> sizes = {
        s.hidden, s.expert_width, s.num_experts, s.shared_width, spec.ranks};
    if (!weights_ || sizes != sizes_) {
      weights_.reset();
      weights_.emplace(spec, timer_.stream());
      sizes_ = sizes;
    }
    const auto elements = static_cast<std::size_t>(tokens * s.hidden);
    x_.reserve(elements);
    out_.reserve(elements);
    fill_random(x_.data(), tokens * s.hidden, 1, 21, timer_.stream());
  }

  MeasuredRank passes(const RoutedLayer& layer, int rank, gpu_ref::Exchange& exchange) {
    const std::int64_t tokens = tokens_of(layer, rank);
    prepare(layer.spec, tokens);
    const gpu_ref::GivenRouting given{.experts = part_of_rank(layer.experts, layer, rank),
                                      .weights = part_of_rank(layer.weights, layer, rank)};
    gpu_ref::RankLayer rank_layer(layer.spec, rank, weights_->pointers(), timer_.stream());
    gpu_ref::StageClock clock;
    rank_layer.set_clock(&clock);
    StageSamples stages;
    for (int i = 0; i < kWarmupPasses + kPasses; ++i) {
      timer_.flush();
      forward_without_gaps(
          rank_layer,
          exchange,
          {.x = x_.data(), .out = out_.data(), .num_tokens = tokens, .given = &given},
          timer_);
      const std::vector<gpu_ref::StageTime> times = clock.read();
      if (i >= kWarmupPasses) {
        (void)stages.add(times);
      }
    }
    MeasuredRank measured;
    for (const std::string& name : stages.names) {
      measured.stage_s.emplace_back(name, summarise_samples(stages.seconds.at(name)).median);
    }
    measured.kept = rank_layer.plan().receive_rows;
    return measured;
  }

  int gpu_;
  GpuTimer timer_;
  std::unique_ptr<gpu_ref::Communicator> communicator_;
  std::optional<RandomWeights> weights_;
  std::vector<int> sizes_;
  DeviceBuffer<Bf16> x_;
  DeviceBuffer<Bf16> out_;
};

class GpuLayerMeter final : public LayerMeter {
 public:
  explicit GpuLayerMeter(int attached) : attached_(attached), info_(gpu_ref::device_info(0)) {}

  std::string device() const override { return info_.name; }
  int gpus() const override { return attached_; }

  bool offers_fp8() override {
    Place& first = place(0);
    first.use();
    gpu_ref::Blas blas(first.timer().stream());
    return gpu_ref::has_fp8_block_gemm(blas);
  }

  std::vector<MeasuredRank> measure(const RoutedLayer& layer) override {
    gpu_ref::check_spec(layer.spec);
    return layer.spec.ranks <= attached_ && layer.spec.ranks > 1 ? side_by_side(layer)
                                                                 : in_turn(layer);
  }

 private:
  Place& place(int gpu) {
    while (static_cast<int>(places_.size()) <= gpu) {
      const int next = static_cast<int>(places_.size());
      gpu_ref::use_device(next);
      places_.push_back(std::make_unique<Place>(next, gpu_ref::device_info(next).l2_bytes));
    }
    return *places_[static_cast<std::size_t>(gpu)];
  }

  std::vector<MeasuredRank> in_turn(const RoutedLayer& layer) {
    const CountMatrix counts =
        gpu_ref::count_matrix(layer.experts, layer.token_begin, layer.spec.shape);
    Place& only = place(0);
    only.use();
    std::vector<MeasuredRank> ranks;
    for (int rank = 0; rank < layer.spec.ranks; ++rank) {
      ranks.push_back(only.in_turn(layer, rank, counts));
    }
    return ranks;
  }

  /// A thread a rank. A rank that fails leaves its peers waiting in NCCL for it: what can be wrong
  /// with the layer is checked before.
  std::vector<MeasuredRank> side_by_side(const RoutedLayer& layer) {
    const auto ranks = static_cast<std::size_t>(layer.spec.ranks);
    (void)place(layer.spec.ranks - 1);
    const gpu_ref::CommunicatorId id = gpu_ref::make_communicator_id();
    std::vector<MeasuredRank> measured(ranks);
    std::vector<std::exception_ptr> failures(ranks);
    std::vector<std::thread> threads;
    for (std::size_t r = 0; r < ranks; ++r) {
      threads.emplace_back([&, r] {
        try {
          const int rank = static_cast<int>(r);
          places_[r]->use();
          places_[r]->join(id, layer.spec.ranks, rank);
          measured[r] = places_[r]->with_peers(layer, rank);
        } catch (...) {
          failures[r] = std::current_exception();
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    for (const std::exception_ptr& failure : failures) {
      if (failure) {
        std::rethrow_exception(failure);
      }
    }
    return measured;
  }

  int attached_;
  gpu_ref::DeviceInfo info_;
  std::vector<std::unique_ptr<Place>> places_;
};

}  // namespace

std::unique_ptr<LayerMeter> open_layer_meter() {
  return std::make_unique<GpuLayerMeter>(require_gpus());
}

}  // namespace moesim::measure
