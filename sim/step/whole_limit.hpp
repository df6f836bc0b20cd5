// SPDX-License-Identifier: Apache-2.0
// What limits a step of a whole model: the largest part of its critical path and the resource that
// this part waits for.
#pragma once

#include <string_view>

#include "sim/step/whole_step.hpp"

namespace moesim {

enum class Resource : std::uint8_t {
  kCompute,       ///< multiplications: peak rate times efficiency
  kMemory,        ///< bandwidth of the GPU's memory
  kLaunches,      ///< starts of compute kernels, or of communication kernels
  kScaleUpLinks,  ///< all ranks in one scale-up domain
  kScaleOutLinks,
  kSchedule,  ///< training: a stage waits for its turn in the pipeline
};
[[nodiscard]] std::string_view resource_name(Resource resource);  ///< "compute", "HBM", ...

struct WholeLimit {
  WholePart part = WholePart::kAttention;
  double share = 0;  ///< of the critical path
  Resource resource = Resource::kCompute;
};

/// The largest of `parts` and its resource; what compute loses beside communication and waiting for
/// the host are nobody's own part. A compute part: the one of compute, memory and launches
/// that, twice as fast, shortens the part's kernels most (experts: of an average rank with even
/// slots). An exchange: launches when the starts of its kernels are half of it or more, else links:
/// scale-out ones when the ranks lie in several domains (gradients, weights, rows between stages:
/// all GPUs). Of training the kernels of the forward pass stand for both. Valid for: saying where
/// to look; a resource that comes second may matter almost as much. Left out: overlap, so that
/// kernels are those of whole batches, and starts that it hides count. Checked by:
/// whole_bound_test.
[[nodiscard]] WholeLimit limit_of(const WholeModel& model, const WholeParts& parts);

}  // namespace moesim
