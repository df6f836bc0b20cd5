// SPDX-License-Identifier: Apache-2.0
// A build without npm has no report page.
#include "sim/report/page_parts.hpp"

namespace moesim {

PageParts page_parts() {
  return {};
}

}  // namespace moesim
