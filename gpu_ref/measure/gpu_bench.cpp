// SPDX-License-Identifier: Apache-2.0
// The real bench: one GPU for the operations, all GPUs for collectives.
#include <cuda_runtime.h>

#include <array>
#include <numeric>
#include <stdexcept>

#include "gpu_ref/device/check.hpp"
#include "gpu_ref/device/devices.hpp"
#include "gpu_ref/measure/collective_bench.hpp"
#include "gpu_ref/measure/estimate.hpp"
#include "gpu_ref/measure/layer_bench.hpp"
#include "gpu_ref/measure/measurement.hpp"
#include "gpu_ref/measure/mistake.hpp"
#include "gpu_ref/measure/nvml.hpp"
#include "gpu_ref/measure/op_benches.hpp"
#include "gpu_ref/measure/require_gpus.hpp"
#include "sim/core/diagnostics.hpp"

namespace moesim::measure {
namespace {

constexpr double kMemoryMargin = 1.15;
constexpr double kMemoryReserve = 1e9;

std::string pci_bus_id(int gpu) {
  std::array<char, 32> text{};
  MOESIM_CUDA_CHECK(cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), gpu));
  return text.data();
}

std::string two_part_version(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string gigabytes_text(double bytes) {
  return std::to_string(static_cast<long>(bytes / 1e8) / 10) + "." +
         std::to_string(static_cast<long>(bytes / 1e8) % 10) + " GB";
}

void check_memory(const CaseInput& input) {
  std::size_t free = 0;
  std::size_t total = 0;
  MOESIM_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  const double needed = device_bytes(input) * kMemoryMargin + kMemoryReserve;
  if (needed > static_cast<double>(free)) {
    throw CaseSkipped("needs about " + gigabytes_text(needed) + " of device memory, " +
                      gigabytes_text(static_cast<double>(free)) + " are free");
  }
}

class GpuBench final : public Bench {
 public:
  GpuBench(int gpu, const ProcessGroup& group, std::unique_ptr<CollectiveBench> collectives)
      : group_(group),
        gpu_(gpu),
        info_(gpu_ref::device_info(gpu)),
        nvml_(pci_bus_id(gpu)),
        timer_(info_.l2_bytes),
        blas_(timer_.stream()),
        collectives_(std::move(collectives)) {}

  DeviceIdentity identity() override {
    return {.name = info_.name,
            .driver = nvml_.driver_version(),
            .cuda_runtime = two_part_version(info_.runtime_version),
            .sm_count = info_.multiprocessors,
            .power_limit_w = nvml_.power_limit_w()};
  }

  Clocks clocks() override { return nvml_.clocks(); }

  Timing measure(const Case& c, const StopRule& rule) override {
    gpu_ref::use_device(gpu_);
    if (const auto* collective = std::get_if<CollectiveInput>(&c.input)) {
      return collectives_->measure(*collective);
    }
    if (group_.rank != 0) {
      return {};  // the first process alone measures what needs one GPU
    }
    check_memory(c.input);
    try {
      const Sampling sampling{.l2 = c.l2, .rule = rule};
      return std::visit([&](const auto& input) { return run(input, sampling); }, c.input);
    } catch (const EnvironmentError& error) {
      if (std::string(error.what()).find("cudaErrorMemoryAllocation") == std::string::npos) {
        throw;
      }
      MOESIM_CUDA_IGNORE(cudaGetLastError());
      throw CaseSkipped("the device memory did not suffice");
    }
  }

  int agree(int decision) override {
    return group_.size > 1 ? collectives_->broadcast(decision) : decision;
  }

 private:
  template <typename Input>
  Timing run(const Input& input, const Sampling& sampling) {
    return bench(input, BenchTools{timer_, blas_}, sampling);
  }

  Timing run(const CollectiveInput& input, const Sampling& /*sampling*/) {
    return collectives_->measure(input);
  }

  Timing run(const DeviceInput& /*input*/, const Sampling& /*sampling*/) {
    Timing facts;
    int bus_bits = 0;
    MOESIM_CUDA_CHECK(cudaDeviceGetAttribute(&bus_bits, cudaDevAttrGlobalMemoryBusWidth, gpu_));
    facts.extra
        .add("compute_capability",
             std::to_string(info_.compute_capability / 10) + "." +
                 std::to_string(info_.compute_capability % 10))
        .add("memory_bytes", info_.memory_bytes)
        .add("l2_bytes", info_.l2_bytes)
        .add("sm_hz_max", 1e3 * info_.clock_khz)
        .add("memory_hz_max", 1e3 * info_.memory_clock_khz)
        .add("memory_bus_bits", bus_bits)
        .add("gpus_present", gpu_ref::attached_gpus())
        .add("cuda_driver", two_part_version(info_.driver_version))
        .add("cublas", info_.cublas_version)
        .add("nccl", info_.nccl_version);
    return facts;
  }

  ProcessGroup group_;
  int gpu_;
  gpu_ref::DeviceInfo info_;
  Nvml nvml_;
  GpuTimer timer_;
  gpu_ref::Blas blas_;
  std::unique_ptr<CollectiveBench> collectives_;
};

}  // namespace

OpenBench open_bench(const BenchOptions& options) {
  const int attached = require_gpus();
  const bool alone = options.group.size == 1;
  const int gpu = alone ? options.gpu : options.group.local_rank % attached;
  if (gpu >= attached) {
    throw KitMistake("--gpu " + std::to_string(gpu) + ": the GPUs here are 0 to " +
                     std::to_string(attached - 1));
  }
  std::vector<int> gpus = {gpu};
  if (alone) {
    gpus.resize(static_cast<std::size_t>(attached));
    std::iota(gpus.begin(), gpus.end(), 0);
  }
  OpenBench open;
  std::unique_ptr<CollectiveBench> collectives;
  if (!alone || attached > 1) {
    collectives = std::make_unique<CollectiveBench>(gpus, options.group, options.meeting_file);
    open.ranks = collectives->ranks();
  }
  gpu_ref::use_device(gpu);
  open.bench = std::make_unique<GpuBench>(gpu, options.group, std::move(collectives));
  return open;
}

}  // namespace moesim::measure
