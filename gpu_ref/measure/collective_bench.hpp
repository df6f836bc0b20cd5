// SPDX-License-Identifier: Apache-2.0
// NCCL over the GPUs present: all of this process, or one of each process of a group.
#pragma once

#include <memory>
#include <string>

#include "gpu_ref/measure/case.hpp"
#include "gpu_ref/measure/measurement.hpp"

namespace moesim::measure {

/// Bus bandwidth over algorithm bandwidth, as nccl-tests defines them.
[[nodiscard]] double bus_factor(CollectiveOp op, int ranks);

class CollectiveBench {
 public:
  /// `gpus` of this process, by index: rank i of a process alone; of a group, one GPU whose rank is
  /// the process's. Waits until all processes of the group are there.
  CollectiveBench(const std::vector<int>& gpus,
                  const ProcessGroup& group,
                  const std::string& meeting_file);
  ~CollectiveBench();
  CollectiveBench(const CollectiveBench&) = delete;
  CollectiveBench& operator=(const CollectiveBench&) = delete;

  [[nodiscard]] int ranks() const;
  /// A fixed number of samples, so that all processes take as many.
  [[nodiscard]] Timing measure(const CollectiveInput& input);
  /// The first process's value, at all of them.
  [[nodiscard]] int broadcast(int value);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moesim::measure
