// SPDX-License-Identifier: Apache-2.0
// Logs of DeepEP's own tests: test_intranode.py, test_internode.py, test_low_latency.py.
#pragma once

#include <filesystem>
#include <string_view>

#include "sim/calibrate/reading.hpp"

namespace moesim::calibrate {

[[nodiscard]] bool is_deepep_log(std::string_view text);

/// The best tuned dispatch (FP8) and combine of the normal kernels ("deepep_normal"), and the mean
/// times of the low-latency kernels ("deepep_low_latency", or "deepep_low_latency_rdma" where the
/// file's name says rdma), the median over the ranks that printed one.
///
/// The logs name no GPU: they are taken as the cluster's. Those of the normal kernels do not tell
/// the ranks, so the file's name says ep<ranks>; their experts are the 256 of the tests' default,
/// routing is uniform. A line without a time has it from its bandwidth, as the test derives that:
///   time = rows that a rank receives * hidden * (FP8: 1 + 4/128, BF16: 2) / bandwidth over NVLink
/// Low-latency logs do not tell their sizes: 128 tokens of 7,168, top-8 of 288, the tests'
/// defaults; bandwidth * time must be those bytes within 3 % (the test masks up to 10 of 1,024
/// choices), or the log is refused. Throws UserError with file and line. Checked by:
/// deepep_log_test.
void read_deepep_log(const std::filesystem::path& path,
                     std::string_view text,
                     Hardware& hardware,
                     Reading& reading);

}  // namespace moesim::calibrate
