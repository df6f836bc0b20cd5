// SPDX-License-Identifier: Apache-2.0
#include "sim/study/layer_cost.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace moesim {

Seconds fixed_time(const StepModel& model, const ExpertTraffic& traffic) {
  const ComputeModel compute{model.cluster.gpu, model.constants};
  const auto ranks = static_cast<std::size_t>(traffic.ranks);
  double sum = 0.0;
  for (std::size_t step = 0; step < static_cast<std::size_t>(traffic.steps); ++step) {
    double gate = std::numeric_limits<double>::infinity();
    double reduce = gate;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const std::int64_t tokens = traffic.tokens[step * ranks + rank];
      const double speed = model.cluster.place(id_at<GpuId>(rank)).speed;
      gate = std::min(gate, gate_time(compute, model.model, tokens).value / speed);
      reduce =
          std::min(reduce, combine_reduce_time(compute, model.model, tokens, tokens).value / speed);
    }
    sum += gate + (model.constants.combine_sums ? 0.0 : reduce);
  }
  return seconds(sum / traffic.steps) + 2.0 * model.constants.communication_start +
         model.constants.combine_extra_start;
}

double soft_maximum(std::span<const std::int64_t> loads) {
  constexpr int kDoublings = 6;
  std::int64_t most = 0;
  for (const std::int64_t load : loads) {
    most = std::max(most, load);
  }
  if (most == 0) {
    return 0.0;
  }
  const double scale = 1.0 / static_cast<double>(most);
  double sum = 0.0;
  for (const std::int64_t load : loads) {
    double power = std::max(0.0, static_cast<double>(load)) * scale;
    for (int i = 0; i < kDoublings; ++i) {
      power *= power;
    }
    sum += power;
  }
  for (int i = 0; i < kDoublings; ++i) {
    sum = std::sqrt(sum);
  }
  return static_cast<double>(most) * sum;
}

}  // namespace moesim
