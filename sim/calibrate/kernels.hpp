// SPDX-License-Identifier: Apache-2.0
// The kernels that can be calibrated and the constants that each is fitted with.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/calibrate/point.hpp"

namespace moesim::calibrate {

/// A constant of the cost models that a fit may move.
struct Constant {
  std::string_view key;  ///< in the calibration file
  double& (*value)(CostConstants&);
  std::string (*write)(double value);  ///< as TOML, with its unit
  double low = 0;                      ///< bounds, SI units
  double high = 0;
  std::vector<double> starts;  ///< values to start from; the best end wins
};

/// A whole number that is tried value by value.
struct TileChoice {
  int rows = 0;
  int columns = 0;
};

/// Constants that `points` of one kernel can tell apart, so that none is fitted to nothing:
/// experts      kernel_launch, gemm_efficiency, memory_efficiency, gemm_overlap; expert_floor where
///              the kernel is known to be issued by the host one by one
/// communication  communication_start when sizes differ by 8 or more; combine_extra_start with both
/// phases;
///              message_gap for kernels of one message a token and rank; message_overhead for
///              collectives; scale_up_efficiency; scale_out_efficiency when NICs carry bytes; the
///              copy rates of an SM with more than one SM count
[[nodiscard]] std::vector<Constant> constants_of(std::span<const Point> points);

/// Tiles that expert kernels are tried with; one entry of zeros (keep) for communication.
[[nodiscard]] std::vector<TileChoice> tiles_of(KernelFamily family);

}  // namespace moesim::calibrate
