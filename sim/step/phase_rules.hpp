// SPDX-License-Identifier: Apache-2.0
// What the kernels of each dispatcher wait for, and who does their work: the rules that
// append_layer turns into edges. What is sent where is in sim/moe.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "sim/moe/dispatch.hpp"

namespace moesim {

/// Rules of one phase (dispatch or combine).
struct PhaseRules {
  bool kernel_waits_for_sends = true;  ///< a rank is done when its own transfers have left, too
  bool pulled = false;  ///< destinations load: they issue and copy, sources need not take part
  bool starts_together = false;    ///< no transfer before every rank has started its kernel
  bool ends_together = false;      ///< no rank is done before every transfer has ended
  bool receiver_copies = false;    ///< destinations copy what arrives out of a queue
  bool stage_is_a_kernel = false;  ///< transfers of stage 1 are a kernel of their own
};

/// low_latency writes and leaves; one_sided stores with a barrier at the end of the dispatch and
/// loads after a barrier at the start of the combine; two_sided drains queues; two_dimensional runs
/// its stages one after the other.
/// Source: DeepEP internode_ll kernels; TensorRT-LLM tech blog 18; Tutel. Checked by:
/// phase_rules_test.
[[nodiscard]] PhaseRules phase_rules(DispatcherKind kind, bool combine);

/// Pairs (before, after) of transfers, by index, such that a rank has at most `channels` sends and
/// at most `channels` receives under way: its n-th waits for its (n - channels)-th, in order of
/// rounds. No pairs when channels is 0. Checked by: phase_rules_test.
[[nodiscard]] std::vector<std::pair<std::size_t, std::size_t>> channel_order(const CommPlan& plan,
                                                                             std::size_t num_ranks,
                                                                             int channels);

}  // namespace moesim
