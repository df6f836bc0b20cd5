// SPDX-License-Identifier: Apache-2.0
// Parameters of generated routings as files: the presets of [routing].
#pragma once

#include <string>

#include "sim/moe/generate/generator_spec.hpp"

namespace moesim {

/// Reads a preset of [routing] that generates: a name of the data folder's routing/, or a path.
/// Throws UserError with all mistakes, EnvironmentError if the file cannot be read.
[[nodiscard]] GeneratorSpec load_generator(const std::string& name);

/// The file that load_generator reads back to the same values. `comment` goes first, a line each.
[[nodiscard]] std::string generator_toml(const GeneratorSpec& spec, const std::string& comment);

}  // namespace moesim
