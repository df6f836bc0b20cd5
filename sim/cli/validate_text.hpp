// SPDX-License-Identifier: Apache-2.0
// Predictions beside measurements, for people, as JSON, CSV and a picture.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "sim/calibrate/validation.hpp"

namespace moesim::cli {

using ValidationResults = std::vector<calibrate::ValidationResult>;

/// Cases by tier, then errors by tier.
[[nodiscard]] std::string validation_text(const ValidationResults& results);
/// @param input  the file of cases, and its digest in `sha256`
[[nodiscard]] std::string validation_json(const ValidationResults& results,
                                          const std::filesystem::path& input,
                                          const std::string& sha256);
/// case,tier,quantity,unit,measured,predicted,error_ratio,grade,source
[[nodiscard]] std::string validation_csv(const ValidationResults& results);
/// Predicted against measured in SI units, a series a tier. Cases of one quantity kind only make
/// sense together: times. The others are left out; empty when nothing is left.
[[nodiscard]] std::string validation_svg(const ValidationResults& results);

}  // namespace moesim::cli
