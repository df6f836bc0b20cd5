// SPDX-License-Identifier: Apache-2.0
// Plain text tables and numbers for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moesim {

inline constexpr std::size_t kColumns = 80;  ///< of a terminal

/// Rows of cells under a header; the first column is left-aligned, the others right-aligned, two
/// blanks between columns, no trailing blanks. What is wider than 80 columns has its headings
/// broken after blanks and . _ /, then the cells of its first column at blanks (the others stand
/// beside the last line of it), and is then parted into tables below one another that repeat the
/// first column.
[[nodiscard]] std::string table(const std::vector<std::string>& header,
                                const std::vector<std::vector<std::string>>& rows);

/// Lines of at most 80 columns, broken at blanks, the later ones indented by two more than the
/// first; a longer word keeps its line. Ends in a newline.
[[nodiscard]] std::string wrapped(std::string_view text);

/// Three significant digits without an exponent: 1.23, 12.3, 123, 1234.
[[nodiscard]] std::string three_digits(double value);
/// "12.3 us", "4.56 ms": three significant digits.
[[nodiscard]] std::string readable_time(double seconds);
/// "1.23 GB", "512 B".
[[nodiscard]] std::string readable_bytes(double bytes);
/// "12.3 %".
[[nodiscard]] std::string readable_share(double share);

}  // namespace moesim
