// SPDX-License-Identifier: Apache-2.0
// User CPU seconds of each network engine on one uneven all-to-all (docs/network.md, "Speed"):
//   network_engines fluid|simgrid star|rail|fattree GPUS tok|jit|uni SKEW flat|agg
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "sim/network/network.hpp"
#include "tests/network/test_fabrics.hpp"

namespace {

using namespace moesim;

double cpu_seconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

testing::Fabric fabric_of(const std::string& name, int gpus) {
  return name == "star" ? testing::star(gpus)
                        : (name == "rail" ? testing::rail(gpus) : testing::fat_tree(gpus));
}

WorkloadSizes sizes_of(const std::string& name) {
  return name == "tok" ? WorkloadSizes::kTokens
                       : (name == "jit" ? WorkloadSizes::kDistinct : WorkloadSizes::kUniform);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() != 6) {
    fmt::print(stderr, "usage: {} ENGINE FABRIC GPUS SIZES SKEW flat|agg\n", argv[0]);
    return 2;
  }
  const auto engine = args[0] == "fluid" ? NetworkEngine::kFluid : NetworkEngine::kSimGrid;
  WorkloadSpec spec;
  spec.gpus = std::atoi(args[2].c_str());
  spec.sizes = sizes_of(args[3]);
  spec.skew = std::atof(args[4].c_str());
  spec.aggregated = args[5] == "agg";
  const testing::Fabric fabric = fabric_of(args[1], spec.gpus);
  const auto flows = to_batch(make_workload(spec), fabric.path, seconds(0));

  const double before = cpu_seconds(RUSAGE_SELF);
  BatchResult result;
  {
    const auto network = make_network(engine, fabric.capacity);
    result = run_batch(*network, flows);
  }
  const double own = cpu_seconds(RUSAGE_SELF) - before;
  SimTime makespan;
  for (const SimTime finish : result.finish) {
    makespan = std::max(makespan, finish);
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  fmt::print(
      "{} flows={} events={} cpu_s={:.4f} child_cpu_s={:.4f} makespan_s={:.9f} "
      "makespan/bound={:.9f} peak_mb={}\n",
      fmt::join(args, " "),
      flows.size(),
      result.events,
      own,
      cpu_seconds(RUSAGE_CHILDREN),
      makespan.to_seconds().value,
      makespan.to_seconds() / makespan_bound(fabric.capacity, flows),
      usage.ru_maxrss / 1024);
  return 0;
}
