// SPDX-License-Identifier: Apache-2.0
// Files of measurements, whatever their kind.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "sim/calibrate/reading.hpp"

namespace moesim::calibrate {

/// Reads each file by what it holds: a raw file of the measurement kit, a log of nccl-tests or of
/// DeepEP's tests, else a published CSV table. Throws UserError with file and line,
/// EnvironmentError if one cannot be read.
[[nodiscard]] Reading read_files(std::span<const std::filesystem::path> files, Hardware& hardware);

/// The points of each kernel, in order of first appearance. UserError when there are none, and when
/// `only` names a kernel that the files do not have.
[[nodiscard]] std::vector<std::vector<Point>> points_by_kernel(
    const Reading& reading, const std::vector<std::string>& only);

}  // namespace moesim::calibrate
