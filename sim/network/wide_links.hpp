// SPDX-License-Identifier: Apache-2.0
// Links of a batch that no flow can ever be held up by.
#pragma once

#include <span>
#include <vector>

#include "sim/network/network.hpp"

namespace moesim {

/// By link: true if every flow that crosses it crosses one and the same other link right after (or
/// right before) it, and that is narrower (or, right after it, as narrow). What the other lets
/// through, this one carries: PCIe between a GPU and its NIC, where no other GPU uses the NIC.
///
///   flows on l are among the flows on m and capacity of m <= capacity of l
///     =>  load of l <= load of m <= capacity of m <= capacity of l
///
/// so fair shares are the same without l. A link is always left for each flow: among as narrow
/// ones, the last. Valid for: fluid sharing. Queues take time at every link. Checked by:
/// batch_parts_test (worked), network_property_test.
[[nodiscard]] std::vector<bool> links_that_never_bind(std::span<const BytesPerSecond> capacity,
                                                      std::span<const BatchFlow> flows);

}  // namespace moesim
