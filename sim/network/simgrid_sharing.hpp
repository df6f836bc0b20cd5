// SPDX-License-Identifier: Apache-2.0
// The SimGrid engine: the same flows on SimGrid, as an independent second opinion.
#pragma once

#include <memory>

#include "sim/network/sharing.hpp"

namespace moesim {

/// SimGrid takes whole bytes: sizes and rates are counted in this part of a byte (a power of two,
/// so that nothing but the size is rounded).
inline constexpr double kPartsOfByte = 65536.0;

/// True when SimGrid was found when the build was configured.
[[nodiscard]] bool simgrid_is_built();

/// Runs SimGrid in a child process (its engine is a process-wide singleton that cannot be made
/// twice) and talks to it over pipes. The child ends with this object, and with this process.
/// Throws EnvironmentError when SimGrid is not in this build, or the child fails.
///
/// Valid for: pure max-min sharing with per-flow caps; see docs/network.md, "SimGrid".
/// Checked by: simgrid_test, simgrid_oracle_test.
[[nodiscard]] std::unique_ptr<Sharing> make_simgrid_sharing(
    std::span<const BytesPerSecond> capacity);

}  // namespace moesim
