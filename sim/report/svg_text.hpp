// SPDX-License-Identifier: Apache-2.0
// What the pictures of the reports share.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace moesim {

// Okabe and Ito's palette: told apart by people who see colours differently, and in print.
inline constexpr std::array<std::string_view, 8> kSeriesColours = {
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933"};
inline constexpr double kLegendLine = 20;  ///< from one line of a legend to the next

/// The text as XML wants it, also between quotes.
[[nodiscard]] std::string escaped(std::string_view text);

/// One line of text, its anchor "start", "middle" or "end" at (x, y). `words` are escaped already.
[[nodiscard]] std::string text_at(double x,
                                  double y,
                                  std::string_view anchor,
                                  std::string_view words);

}  // namespace moesim
