// SPDX-License-Identifier: Apache-2.0
// Logs of NVIDIA/nccl-tests.
#pragma once

#include <filesystem>
#include <string_view>

#include "sim/calibrate/reading.hpp"

namespace moesim::calibrate {

/// True for text with the header that nccl-tests prints above its columns.
[[nodiscard]] bool is_nccl_log(std::string_view text);

/// Out-of-place times of an alltoall_perf log. Lines of "#  Rank n ... device d [...] NAME" give
/// the ranks and their GPU; rows are "size count type redop root time algbw busbw #wrong time ...",
/// in B and us. Which collective it was stands in "# Collective test starting: alltoall_perf"
/// (newer releases) or in the file's name; a log of another one is passed over. Throws UserError
/// with file and line.
void read_nccl_log(const std::filesystem::path& path,
                   std::string_view text,
                   Hardware& hardware,
                   Reading& reading);

}  // namespace moesim::calibrate
