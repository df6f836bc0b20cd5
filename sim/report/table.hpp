// SPDX-License-Identifier: Apache-2.0
// Plain text tables and numbers for people.
#pragma once

#include <string>
#include <vector>

namespace moesim {

/// Rows of cells under a header; the first column is left-aligned, the others right-aligned, two
/// blanks between columns, no trailing blanks.
[[nodiscard]] std::string table(const std::vector<std::string>& header,
                                const std::vector<std::vector<std::string>>& rows);

/// "12.3 us", "4.56 ms": three significant digits.
[[nodiscard]] std::string readable_time(double seconds);
/// "1.23 GB", "512 B".
[[nodiscard]] std::string readable_bytes(double bytes);
/// "12.3 %".
[[nodiscard]] std::string readable_share(double share);

}  // namespace moesim
