// SPDX-License-Identifier: Apache-2.0
// What a user of the kit did wrong. The kit stands alone, so it has its own type; `moesim` turns it
// into its own.
#pragma once

#include <stdexcept>

namespace moesim::measure {

/// The message names the option or the place in a file. Exit code 2.
class KitMistake : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A case that this device or library cannot run; the sweep notes why and goes on.
class CaseSkipped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace moesim::measure
