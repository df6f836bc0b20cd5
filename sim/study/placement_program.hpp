// SPDX-License-Identifier: Apache-2.0
// The linear program of placement_bound, solved by CLP; its only user.
#pragma once

#include <vector>

#include "sim/study/copy_times.hpp"
#include "sim/study/expert_floor.hpp"

namespace moesim {

/// Numbers of the program in placement_bound.hpp, averages of a step. Times in seconds.
struct PlacementProgram {
  double fixed = 0.0;
  std::vector<double> rows;                 ///< by expert
  std::vector<double> active;               ///< by expert, part of the steps with rows
  std::vector<std::vector<double>> remote;  ///< [domain][expert] assignments from elsewhere
  std::vector<double> ranks;                ///< by domain
  int slots_per_rank = 0;
  std::vector<Line> over_rows;
  std::vector<Line> over_slots;
  double least_experts = 0.0;       ///< experts of a rank, mean over all of them
  double speed = 1.0;               ///< of the fastest rank
  CopyTime remote_copy;             ///< of a copy from another domain
  CopyTime any_copy;                ///< of a copy from another rank
  double remote_shared_by = 1.0;    ///< most assignments that one copy to a domain serves
  double arriving_shared_by = 1.0;  ///< the same to a rank
  double least_remote = 0.0;        ///< copies from other domains, over all domains
  double least_arriving = 0.0;      ///< copies from other ranks, over all domains
};

/// The least T. Throws std::runtime_error when CLP ends without an optimum.
[[nodiscard]] double least_time(const PlacementProgram& program);

}  // namespace moesim
