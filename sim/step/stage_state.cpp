// SPDX-License-Identifier: Apache-2.0
#include "sim/step/stage_state.hpp"

#include <algorithm>
#include <vector>

#include "sim/step/memory.hpp"

namespace moesim {
namespace {

constexpr double kWeightBytes = 2;      // bf16, as the optimiser writes them
constexpr double kOptimiserBytes = 26;  // 12 read, 12 written, the bf16 weight

MemoryModel memory_of(const WholeModel& m) {
  MemorySpec spec;
  spec.gradient_dtype = m.training.gradient_dtype;
  spec.zero_stage = m.training.zero_stage;
  const int slots = m.step.placements.empty() ? 0 : m.step.placements.front().slots_per_rank();
  return {.model = m.step.model,
          .parallel = m.parallel,
          .kind = m.kind,
          .batch = m.batch,
          .memory = spec,
          .dispatcher = m.step.dispatch.kind,
          .slots_per_rank = slots,
          .capacity = m.step.cluster.gpu.memory,
          .overlap = m.overlap,
          .schedule = m.training.schedule};
}

/// Groups of ranks that hold the same parameters.
struct CopyGroups {
  std::vector<std::vector<GpuId>> experts;
  std::vector<std::vector<GpuId>> others;
};

/// Of a stage; of both stages that hold the same two parts of the model.
CopyGroups copy_groups(const ParallelSpec& p, const std::vector<int>& stages) {
  CopyGroups groups;
  groups.experts.resize(static_cast<std::size_t>(p.ep));
  groups.others.resize(static_cast<std::size_t>(p.tp));
  for (int d = 0; d < p.dp; ++d) {
    for (const int stage : stages) {
      for (int r = 0; r < p.ep; ++r) {
        const GpuId gpu{(d * p.pp + stage) * p.ep + r};
        groups.experts[static_cast<std::size_t>(r)].push_back(gpu);
        groups.others[static_cast<std::size_t>(r % p.tp)].push_back(gpu);
      }
    }
  }
  return groups;
}

}  // namespace

bool is_bidirectional(const WholeModel& m) {
  return m.training.schedule == Schedule::kDualPipe;
}

StageState stage_state(const WholeModel& m, const RingFabric& fabric, int stage) {
  const MemoryModel memory = memory_of(m);
  const StageParameters p = stage_parameters(memory, stage);
  std::vector<int> holders = {stage};
  if (is_bidirectional(m)) {
    holders = {std::min(stage, m.parallel.pp - 1 - stage),
               std::max(stage, m.parallel.pp - 1 - stage)};
  }
  const CopyGroups groups = copy_groups(m.parallel, holders);
  const auto experts = static_cast<double>(p.experts);
  const auto others = static_cast<double>(p.others);
  const auto exchange = [&](double bytes_each, double part) {
    return ring_time(fabric, groups.experts, bytes(experts * bytes_each * part)) +
           ring_time(fabric, groups.others, bytes(others * bytes_each * part));
  };
  const int zero = m.training.zero_stage;
  const double gradient = bytes_per_element(m.training.gradient_dtype);
  const double copies = static_cast<double>(holders.size());
  const double of_part = 1.0 / (m.parallel.virtual_stages * copies);
  StageState state;
  state.during.overlaps = m.training.overlap_gradients;
  if (zero >= 2) {
    state.during.reduce = ticks(exchange(gradient, of_part));
  } else {
    state.reduce = ticks((zero == 0 ? 2.0 : 1.0) * exchange(gradient, 1));
    int layers = 0;
    for (const int holder : holders) {
      for (const StageLayers part : stage_layers(m.step.model, m.parallel, holder)) {
        layers += part.last - part.first;
      }
    }
    state.last_part = m.training.overlap_gradients
                          ? SimTime{state.reduce.picoseconds / std::max(layers, 1)}
                          : state.reduce;
  }
  if (zero >= 3) {
    state.during.gather = ticks(exchange(kWeightBytes, of_part));
  } else if (zero >= 1) {
    state.gather = ticks(exchange(kWeightBytes, 1));
  }
  const double expert_copies = zero >= 1 ? copies * m.parallel.dp : 1;
  const double other_copies =
      zero >= 1 ? copies * m.parallel.dp * m.parallel.ep / m.parallel.tp : 1;
  const CostConstants& c = m.step.constants;
  state.optimiser = ticks(
      bytes((experts / expert_copies + others / other_copies) * (kOptimiserBytes + gradient)) /
          (m.step.cluster.gpu.memory_bandwidth * c.memory_efficiency) +
      c.kernel_launch);
  return state;
}

}  // namespace moesim
