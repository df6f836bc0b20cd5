// SPDX-License-Identifier: Apache-2.0
// Small text helpers shared by readers and messages.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace moesim {

/// Levenshtein distance: insertions, deletions, substitutions.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, or "" if none is near (more than a third of its letters, at
/// least 2, would change). The first wins among equals.
[[nodiscard]] std::string nearest_word(std::string_view word,
                                       std::span<const std::string> candidates);

/// `text` without leading and trailing blanks.
[[nodiscard]] std::string_view trimmed(std::string_view text);

/// `text` in double quotes for a message: control characters and quotes escaped as TOML does, cut
/// after 60 bytes.
[[nodiscard]] std::string quoted_text(std::string_view text);

/// "a, b or c".
[[nodiscard]] std::string word_list(std::span<const std::string_view> words);

}  // namespace moesim
