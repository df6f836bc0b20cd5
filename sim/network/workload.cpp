// SPDX-License-Identifier: Apache-2.0
#include "sim/network/workload.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/core/check.hpp"
#include "sim/core/rng.hpp"

namespace moesim {
namespace {

/// Copies from GPU s to GPU t at s * gpus + t.
using CopyMatrix = std::vector<std::int64_t>;

void check(const WorkloadSpec& spec) {
  MOESIM_CHECK(spec.gpus > 0 && spec.gpus_per_node > 0, "a workload without GPUs");
  MOESIM_CHECK(spec.gpus % spec.gpus_per_node == 0, "gpus is not a multiple of gpus_per_node");
  MOESIM_CHECK(spec.experts_per_gpu > 0 && spec.tokens_per_gpu >= 0, "a workload without experts");
  MOESIM_CHECK(spec.top_k > 0 && spec.top_k <= spec.gpus * spec.experts_per_gpu,
               "top_k is not within 1 and the number of experts");
  MOESIM_CHECK(spec.skew >= 0.0 && spec.copy_bytes.value > 0.0, "a negative skew or empty copies");
}

/// Draws experts by popularity in O(1) (Walker's alias method).
class ExpertSampler {
 public:
  explicit ExpertSampler(const std::vector<double>& popularity)
      : keep_(popularity.size(), 1.0), alias_(popularity.size()) {
    std::iota(alias_.begin(), alias_.end(), std::size_t{0});
    const double sum = std::accumulate(popularity.begin(), popularity.end(), 0.0);
    const auto count = static_cast<double>(popularity.size());
    std::vector<double> share;
    std::vector<std::size_t> poor;
    std::vector<std::size_t> rich;
    for (std::size_t e = 0; e < popularity.size(); ++e) {
      share.push_back(popularity[e] / sum * count);
      (share[e] < 1.0 ? poor : rich).push_back(e);
    }
    while (!poor.empty() && !rich.empty()) {
      const std::size_t p = poor.back();
      const std::size_t r = rich.back();
      poor.pop_back();
      keep_[p] = share[p];
      alias_[p] = r;
      share[r] -= 1.0 - share[p];
      if (share[r] < 1.0) {
        rich.pop_back();
        poor.push_back(r);
      }
    }
  }

  std::size_t draw(RngStream& rng) const {
    const double u = rng.uniform01() * static_cast<double>(keep_.size());
    const auto column = std::min(static_cast<std::size_t>(u), keep_.size() - 1);
    return u - static_cast<double>(column) < keep_[column] ? column : alias_[column];
  }

 private:
  std::vector<double> keep_;
  std::vector<std::size_t> alias_;
};

/// Popularity by expert: Zipf over a random order of the experts.
std::vector<double> expert_popularity(const WorkloadSpec& spec) {
  std::vector<std::size_t> order(static_cast<std::size_t>(spec.gpus * spec.experts_per_gpu));
  std::iota(order.begin(), order.end(), std::size_t{0});
  RngStream rng(spec.seed, "workload expert order");
  shuffle(std::span(order), rng);
  std::vector<double> popularity(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    popularity[order[i]] = std::pow(static_cast<double>(i + 1), -spec.skew);
  }
  return popularity;
}

/// Draws one token's experts and returns the GPUs that hold them, each once.
void draw_targets(const ExpertSampler& sampler,
                  const WorkloadSpec& spec,
                  RngStream& rng,
                  std::vector<std::size_t>& targets) {
  std::vector<std::size_t>& experts = targets;
  experts.clear();
  while (experts.size() < static_cast<std::size_t>(spec.top_k)) {
    const std::size_t expert = sampler.draw(rng);
    if (std::find(experts.begin(), experts.end(), expert) == experts.end()) {
      experts.push_back(expert);
    }
  }
  for (std::size_t& expert : experts) {
    expert /= static_cast<std::size_t>(spec.experts_per_gpu);
  }
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
}

CopyMatrix draw_copies(const WorkloadSpec& spec) {
  const ExpertSampler sampler(expert_popularity(spec));
  const auto gpus = static_cast<std::size_t>(spec.gpus);
  CopyMatrix copies(gpus * gpus, 0);
  std::vector<std::size_t> targets;
  for (std::size_t source = 0; source < gpus; ++source) {
    RngStream rng(spec.seed, "workload tokens", source);
    for (int token = 0; token < spec.tokens_per_gpu; ++token) {
      draw_targets(sampler, spec, rng, targets);
      for (const std::size_t target : targets) {
        copies[source * gpus + target] += source == target ? 0 : 1;
      }
    }
  }
  return copies;
}

/// The copies between GPUs of different nodes go by the neighbour on the target's rail.
CopyMatrix aggregate(const CopyMatrix& copies, const WorkloadSpec& spec) {
  const auto gpus = static_cast<std::size_t>(spec.gpus);
  const auto per_node = static_cast<std::size_t>(spec.gpus_per_node);
  CopyMatrix merged(copies.size(), 0);
  for (std::size_t source = 0; source < gpus; ++source) {
    for (std::size_t target = 0; target < gpus; ++target) {
      const std::int64_t count = copies[source * gpus + target];
      const std::size_t relay = source / per_node * per_node + target % per_node;
      merged[source * gpus + relay] += relay == source ? 0 : count;
      merged[relay * gpus + target] += relay == target ? 0 : count;
    }
  }
  return merged;
}

std::vector<PairBytes> to_transfers(const CopyMatrix& copies, const WorkloadSpec& spec) {
  const auto gpus = static_cast<std::size_t>(spec.gpus);
  std::vector<PairBytes> transfers;
  for (std::size_t source = 0; source < gpus; ++source) {
    for (std::size_t target = 0; target < gpus; ++target) {
      const std::int64_t count = copies[source * gpus + target];
      if (count > 0) {
        transfers.push_back({.source = id_at<GpuId>(source),
                             .target = id_at<GpuId>(target),
                             .bytes = static_cast<double>(count) * spec.copy_bytes});
      }
    }
  }
  return transfers;
}

/// Adds i/n of a copy to each of n transfers, i in random order: no two sizes stay equal.
void make_distinct(std::vector<PairBytes>& transfers, const WorkloadSpec& spec) {
  std::vector<std::size_t> order(transfers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  RngStream rng(spec.seed, "workload distinct sizes");
  shuffle(std::span(order), rng);
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    const double fraction = static_cast<double>(order[i]) / static_cast<double>(transfers.size());
    transfers[i].bytes += fraction * spec.copy_bytes;
  }
}

void make_uniform(std::vector<PairBytes>& transfers) {
  Bytes sum;
  for (const PairBytes& transfer : transfers) {
    sum += transfer.bytes;
  }
  for (PairBytes& transfer : transfers) {
    transfer.bytes = sum / static_cast<double>(transfers.size());
  }
}

}  // namespace

std::vector<PairBytes> make_workload(const WorkloadSpec& spec) {
  check(spec);
  CopyMatrix copies = draw_copies(spec);
  if (spec.aggregated) {
    copies = aggregate(copies, spec);
  }
  std::vector<PairBytes> transfers = to_transfers(copies, spec);
  if (spec.sizes == WorkloadSizes::kDistinct) {
    make_distinct(transfers, spec);
  } else if (spec.sizes == WorkloadSizes::kUniform) {
    make_uniform(transfers);
  }
  return transfers;
}

std::vector<BatchFlow> to_batch(std::span<const PairBytes> transfers,
                                const PathLookup& path,
                                Seconds latency) {
  std::vector<BatchFlow> flows;
  flows.reserve(transfers.size());
  for (const PairBytes& transfer : transfers) {
    flows.push_back({.links = path(transfer.source, transfer.target),
                     .bytes = transfer.bytes,
                     .latency = latency,
                     .start = {}});
  }
  return flows;
}

}  // namespace moesim
