// SPDX-License-Identifier: Apache-2.0
// TOML text -> ConfigTree. The only place that knows the TOML library.
#pragma once

#include <string>
#include <string_view>

#include "sim/scenario/config_tree.hpp"

namespace moesim {

/// Parses a file's text; `file` is the name that places show. Paths start with `prefix` ("model."
/// for a model preset). Tables come before their keys, keys in order of the text.
/// Throws UserError with the place of a syntax error, or for a text too large to be a scenario.
[[nodiscard]] ConfigTree parse_toml(std::string_view text,
                                    const std::string& file,
                                    std::string_view prefix = {});

/// The same with the items of lists as entries of their own behind the list's:
/// "grid.model.top_k[0]" and on; an item that is a table is a header followed by its keys,
/// "points[0].model.top_k".
[[nodiscard]] ConfigTree parse_toml_items(std::string_view text, const std::string& file);

/// Adds one "path.to.key=value" to the tree, replacing what stood there. The value is TOML; text
/// that is no TOML value is taken as a string. Throws UserError for anything else.
void apply_override(ConfigTree& tree, const std::string& text);

}  // namespace moesim
