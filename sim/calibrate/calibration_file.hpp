// SPDX-License-Identifier: Apache-2.0
// Fits as a calibration file: TOML that a scenario's [calibration] reads. Format:
// docs/calibration.md.
#pragma once

#include <span>
#include <string>

#include "sim/calibrate/calibration.hpp"

namespace moesim::calibrate {

/// What stands at the head of the file.
struct FileHead {
  std::string hardware;  ///< GPU name
  std::string command;   ///< that makes the file again
};

/// Every fitted kernel as a table, and which of them a scenario gets unless it says otherwise: the
/// kernels in the order of kDefaultExperts and of the dispatchers' own lists.
/// Numbers have four digits, so that equal inputs give equal bytes on every machine.
[[nodiscard]] std::string calibration_toml(const FileHead& head, std::span<const KernelFit> fits);

/// One row per prediction: kernel, place, label, set (fitted or the fold left out), measured_s,
/// predicted_s, error_ratio.
[[nodiscard]] std::string points_csv(std::span<const KernelFit> fits);

/// The same summary as the file's fit tables, as JSON.
[[nodiscard]] std::string calibration_json(const FileHead& head, std::span<const KernelFit> fits);

}  // namespace moesim::calibrate
