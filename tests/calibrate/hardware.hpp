// SPDX-License-Identifier: Apache-2.0
// A small cluster with round numbers: nodes of 8 GPUs named "T1", 100 GB/s inside, one 10 GB/s NIC
// a GPU.
#pragma once

#include "sim/calibrate/reading.hpp"

namespace moesim::testing {

inline ClusterSpec small_spec() {
  ClusterSpec spec;
  spec.name = "test";
  spec.nodes = 2;
  spec.gpus_per_node = 8;
  spec.gpu = {.name = "T1",
              .memory = gigabytes(80),
              .memory_bandwidth = gigabytes_per_second(1000),
              .bf16_rate = teraflops_per_second(100),
              .fp8_rate = teraflops_per_second(200),
              .sms = 100};
  spec.scale_up = {1, gigabytes_per_second(100), microseconds(1)};
  spec.nic = {8, gigabytes_per_second(10), gigabytes_per_second(50), microseconds(2)};
  return spec;
}

/// Constants with every efficiency 1, so that times follow from the nominal rates.
inline CostConstants ideal_constants() {
  CostConstants c;
  c.source = "test";
  c.kernel_launch = microseconds(1);
  c.gemm_efficiency = 0.8;
  c.tile_rows = 128;
  c.tile_columns = 128;
  c.memory_efficiency = 0.9;
  c.scale_up_efficiency = 1;
  c.scale_out_efficiency = 1;
  c.communication_start = microseconds(10);
  return c;
}

}  // namespace moesim::testing
