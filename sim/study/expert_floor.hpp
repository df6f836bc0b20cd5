// SPDX-License-Identifier: Apache-2.0
// The least time of the experts of a rank, as straight lines below it: what linear programs take.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/moe/expert_cost.hpp"

namespace moesim {

/// value >= intercept + slope * x
struct Line {
  double intercept = 0.0;
  double slope = 0.0;
};

/// Lines below expert_time over the rows of a rank, up to `most` rows, whatever the slots that hold
/// them: the lower convex hull of expert_time of one slot with all rows. Rests on: spreading rows
/// over slots never saves time, nor do fewer rows take more. Checked by: expert_floor_test.
[[nodiscard]] std::vector<Line> lines_over_rows(const ComputeModel& compute,
                                                const ModelShape& model,
                                                std::int64_t most);

/// The same over the slots of a rank that have rows, 1 to `most`: one row in each. 0 slots: 0.
[[nodiscard]] std::vector<Line> lines_over_slots(const ComputeModel& compute,
                                                 const ModelShape& model,
                                                 std::int64_t most);

/// The largest of the lines at x; 0 without lines.
[[nodiscard]] double value_at(const std::vector<Line>& lines, double x);

}  // namespace moesim
