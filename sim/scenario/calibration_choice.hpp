// SPDX-License-Identifier: Apache-2.0
// Which calibration a scenario gets, and which kernels' constants out of it.
#pragma once

#include <string>
#include <vector>

#include "sim/core/diagnostics.hpp"
#include "sim/scenario/config_tree.hpp"

namespace moesim {

/// The preset of a scenario that names none: the file of calibration/ whose name is that of the
/// GPU in lower case ("H100": h100.toml), else "assumed".
[[nodiscard]] std::string default_calibration(const ConfigTree& scenario);

/// A calibration file with its kernel tables resolved into the flat keys of [calibration].
struct CalibrationChoice {
  ConfigTree constants;
  bool needs_assumed = false;  ///< the file has kernel tables: what they lack, assumed.toml gives
  std::vector<Diagnostic> diagnostics;
};

/// From `preset` (paths under "calibration."), the tables of the kernels that the scenario's
/// calibration.expert_kernel and calibration.communication_kernel name, else of the file's
/// [default]: experts, or experts_bf16 where the file has it and the weights are not fp8; pairwise,
/// hierarchical, low_latency or low_latency_without_scale_up by the scenario's dispatcher. A key K
/// of the table becomes calibration.K, its fit becomes calibration.expert_fit or
/// calibration.communication_fit. A scenario that states one of those K itself has constants that
/// nobody fitted, so the fit is left out. A file without kernel tables is taken as it is.
[[nodiscard]] CalibrationChoice choose_kernels(const ConfigTree& preset,
                                               const ConfigTree& scenario);

}  // namespace moesim
