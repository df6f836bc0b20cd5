// SPDX-License-Identifier: Apache-2.0
// pack.json <-> PackHeader.
#pragma once

#include <filesystem>
#include <string>

#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

/// Throws one UserError with every mistake in the header.
[[nodiscard]] PackHeader parse_pack_json(const std::filesystem::path& path,
                                         const std::string& text);

/// The header of a pack as JSON text, with the keys of `extra_json` (an object, or "") after ours.
[[nodiscard]] std::string pack_json(const RoutePack& pack, const std::string& extra_json);

}  // namespace moesim::traces
