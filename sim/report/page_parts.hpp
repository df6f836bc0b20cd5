// SPDX-License-Identifier: Apache-2.0
// The report page as text: made at build time from sim/report/page, or empty without npm.
#pragma once

#include <string_view>

namespace moesim {

/// What stands before and after the JSON document; both empty when the build has no page.
struct PageParts {
  std::string_view head;
  std::string_view tail;
};
[[nodiscard]] PageParts page_parts();

}  // namespace moesim
