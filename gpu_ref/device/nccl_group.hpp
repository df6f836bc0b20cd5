// SPDX-License-Identifier: Apache-2.0
// A group of NCCL calls that is closed whatever happens. Only files that include nccl.h use it.
#pragma once

#include <nccl.h>

#include "gpu_ref/device/check.hpp"

namespace moesim::gpu_ref {

/// Opens a group; end() closes it and throws what NCCL says. Where a call between them throws, the
/// destructor closes the group, or every later call of the thread would only be queued.
class NcclGroup {
 public:
  NcclGroup() { MOESIM_NCCL_CHECK(ncclGroupStart()); }
  ~NcclGroup() {
    if (is_open_) {
      MOESIM_CUDA_IGNORE(ncclGroupEnd());
    }
  }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  void end() {
    is_open_ = false;
    MOESIM_NCCL_CHECK(ncclGroupEnd());
  }

 private:
  bool is_open_ = true;
};

}  // namespace moesim::gpu_ref
