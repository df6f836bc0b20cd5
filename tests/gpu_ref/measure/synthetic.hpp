// SPDX-License-Identifier: Apache-2.0
// Made-up records of a made-up GPU under a fake clock: what a raw file looks like, for tests of its
// writer and its readers. None of these numbers was measured.
#pragma once

#include <string>
#include <vector>

#include "gpu_ref/measure/case.hpp"

namespace moesim::measure {

/// One case of every sort of kind.
[[nodiscard]] std::vector<Case> synthetic_cases();

/// The lines of synthetic_raw.jsonl: a record of each of synthetic_cases().
[[nodiscard]] std::vector<std::string> synthetic_lines();

}  // namespace moesim::measure
