// SPDX-License-Identifier: Apache-2.0
// Raw files of the measurement kit (docs/measurement.md): JSON lines.
#pragma once

#include <filesystem>
#include <string_view>

#include "sim/calibrate/reading.hpp"

namespace moesim::calibrate {

[[nodiscard]] bool is_raw_file(std::string_view text);

/// Points of the lines that a cost model predicts: forward grouped GEMMs and the expert stages of
/// whole layers on a cold L2 (kernels "cublas_bf16", "cublas_fp8"), all-to-all and all-to-all-v
/// ("nccl"). The last line of a case counts; a line without a newline at the end of the file does
/// not. Throws UserError with file and line for a line of another format or schema, or that lacks a
/// field it needs.
void read_raw_file(const std::filesystem::path& path,
                   std::string_view text,
                   Hardware& hardware,
                   Reading& reading);

}  // namespace moesim::calibrate
