// SPDX-License-Identifier: Apache-2.0
// Copy rate and launch cost.
#include <cuda_runtime.h>

#include <functional>

#include "gpu_ref/device/check.hpp"
#include "gpu_ref/measure/gpu_fill.hpp"
#include "gpu_ref/measure/op_benches.hpp"

namespace moesim::measure {
namespace {

using gpu_ref::DeviceBuffer;
using gpu_ref::StreamHandle;

/// Launches of one sample: many, so that the ends do not count; fewer than the 1,024 that a stream
/// holds, so that the host is not stopped.
constexpr int kLaunches = 500;
constexpr double kHostHold = 10e-3;

/// A graph of kLaunches empty kernels, one after the other.
class EmptyGraph {
 public:
  explicit EmptyGraph(StreamHandle stream) {
    cudaGraph_t graph = nullptr;
    MOESIM_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < kLaunches; ++i) {
      launch_empty(stream);
    }
    MOESIM_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
    const cudaError_t made = cudaGraphInstantiate(&executable_, graph, 0);
    MOESIM_CUDA_IGNORE(cudaGraphDestroy(graph));
    MOESIM_CUDA_CHECK(made);
  }
  ~EmptyGraph() { MOESIM_CUDA_IGNORE(cudaGraphExecDestroy(executable_)); }
  EmptyGraph(const EmptyGraph&) = delete;
  EmptyGraph& operator=(const EmptyGraph&) = delete;

  void launch(StreamHandle stream) const {
    MOESIM_CUDA_CHECK(cudaGraphLaunch(executable_, stream));
  }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

/// Host time of a launch call, while the device is kept busy with something else.
double host_launch(GpuTimer& timer) {
  timer.wait();
  hold(kHostHold, timer.stream());
  const double begin = host_time();
  for (int i = 0; i < kLaunches; ++i) {
    launch_empty(timer.stream());
  }
  const double spent = host_time() - begin;
  timer.wait();
  return spent / kLaunches;
}

Timing host_launches(GpuTimer& timer, const StopRule& rule) {
  Timing timing;
  timing.warmup = 1;
  timing.repeats = kLaunches;
  (void)host_launch(timer);
  const double begin = host_time();
  do {
    timing.samples_s.push_back(host_launch(timer));
    timing.stop = stop_now(rule, timing.samples_s, host_time() - begin);
  } while (timing.stop == StopReason::kGoOn);
  return timing;
}

}  // namespace

Timing bench(const CopyInput& input, BenchTools tools, const Sampling& sampling) {
  const auto bytes = static_cast<std::size_t>(input.bytes);
  const DeviceBuffer<gpu_ref::Bf16> from(bytes / sizeof(gpu_ref::Bf16));
  const DeviceBuffer<gpu_ref::Bf16> to(bytes / sizeof(gpu_ref::Bf16));
  const StreamHandle stream = tools.timer.stream();
  fill_random(from.data(), static_cast<std::int64_t>(from.size()), 1, 1, stream);
  return tools.timer.sample(
      {.run = [&] { gpu_ref::copy_on_device(to.data(), from.data(), bytes, stream); }},
      sampling.l2,
      sampling.rule);
}

Timing bench(const LaunchInput& input, BenchTools tools, const Sampling& sampling) {
  const StreamHandle stream = tools.timer.stream();
  if (input.mode == LaunchMode::kHost) {
    return host_launches(tools.timer, sampling.rule);
  }
  if (input.mode == LaunchMode::kStream) {
    return tools.timer.sample(
        {.run = [&] { launch_empty(stream); }, .repeats = kLaunches}, sampling.l2, sampling.rule);
  }
  const EmptyGraph graph(stream);
  return tools.timer.sample(
      {.run = [&] { graph.launch(stream); }, .launches = 50, .per_run = kLaunches},
      sampling.l2,
      sampling.rule);
}

}  // namespace moesim::measure
