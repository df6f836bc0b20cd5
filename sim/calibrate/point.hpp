// SPDX-License-Identifier: Apache-2.0
// One measurement beside the prediction of the simulator's own cost models.
#pragma once

#include <functional>
#include <string>

#include "sim/core/units.hpp"
#include "sim/moe/expert_cost.hpp"

namespace moesim::calibrate {

/// What a point calibrates; each has its own constants.
enum class KernelFamily { kExperts, kCommunication };

/// A measured time and everything needed to predict it. `predict` is a pure function of the
/// constants: it calls the functions that a step calls, on work prepared once.
struct Point {
  KernelFamily family = KernelFamily::kExperts;
  std::string
      kernel;  ///< the table of the calibration file: "deepgemm_masked", "deepep_normal", ...
  std::string place;   ///< file:line
  std::string label;   ///< for people: "EP8 power_law_1.01 4096 tokens"
  std::string source;  ///< who measured, for the calibration file

  // What folds of the cross-validation leave out.
  std::string shape;  ///< model shape, load, dtype, phase: what is not a size
  int ep = 0;         ///< ranks
  double size = 0;    ///< tokens, or bytes of a collective

  // What tells constants apart.
  bool is_combine = false;
  bool is_host_issued = false;  ///< kernels launched one by one, without a graph
  bool gathers = true;          ///< of experts: a kernel brings the rows into their order
  bool returns = false;         ///< and one back, with sums that no combine kernel makes
  bool uses_scale_up = false;
  bool uses_scale_out = false;
  int sms = 0;

  // Inputs whose range the fit covers; meaning as in FitRecord.
  double rows = 0;
  double slots = 0;
  double hidden = 0;
  double width = 0;
  std::string weights;  ///< dtype of the experts' weights

  Seconds measured;
  std::function<Seconds(const CostConstants&)> predict;
};

}  // namespace moesim::calibrate
