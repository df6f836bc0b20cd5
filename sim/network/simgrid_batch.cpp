// SPDX-License-Identifier: Apache-2.0
#include "sim/network/simgrid_batch.hpp"

#include <fmt/core.h>
#include <simgrid/kernel/routing/NetPoint.hpp>
#include <simgrid/kernel/routing/NetZoneImpl.hpp>
#include <simgrid/s4u.hpp>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/network/child_process.hpp"
#include "sim/network/simgrid_sharing.hpp"

namespace moesim {
namespace {

namespace sg = simgrid::s4u;
namespace sgk = simgrid::kernel;

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Routes by pair of hosts, from a table.
class TableZone : public sgk::routing::NetZoneImpl {
 public:
  using Path = std::vector<sgk::resource::StandardLinkImpl*>;
  TableZone() : NetZoneImpl("fabric") {}
  void set_routes(std::size_t hosts, unsigned long first_point, std::vector<Path> routes) {
    hosts_ = hosts;
    first_point_ = first_point;
    routes_ = std::move(routes);
  }

 protected:
  void get_local_route(const sgk::routing::NetPoint* source,
                       const sgk::routing::NetPoint* target,
                       sgk::routing::Route* into,
                       double* /*latency*/) override {
    into->link_list_ =
        routes_[(source->id() - first_point_) * hosts_ + target->id() - first_point_];
  }

 private:
  std::size_t hosts_ = 0;
  unsigned long first_point_ = 0;
  std::vector<Path> routes_;
};

/// What runs in the child process.
class Driver {
 public:
  Driver(std::span<const BytesPerSecond> capacity,
         std::span<const BatchFlow> flows,
         std::span<const PairBytes> pairs,
         SimGridUpdates updates);
  void run(ByteStream& stream);

 private:
  static sg::Engine make_engine(SimGridUpdates updates);
  void make_platform(std::span<const BytesPerSecond> capacity);
  void make_actors();
  void send(const std::vector<std::size_t>& flows);
  void receive(const std::vector<std::size_t>& flows);
  [[nodiscard]] std::vector<std::vector<std::size_t>> flows_by(GpuId PairBytes::*end) const;

  std::span<const BatchFlow> flows_;
  std::span<const PairBytes> pairs_;
  std::size_t hosts_ = 0;
  sg::Engine engine_;
  std::vector<sg::Host*> host_;
  std::vector<double> finish_s_;
  double posted_cpu_s_ = 0.0;
  int token_ = 0;  ///< what every message carries
};

sg::Engine Driver::make_engine(SimGridUpdates updates) {
  std::array<std::string, 6> arguments{
      "moesim",
      "--log=root.thres:critical",
      "--cfg=network/model:CM02",
      "--cfg=network/crosstraffic:0",
      updates == SimGridUpdates::kFull ? "--cfg=network/optim:Full" : "--cfg=network/optim:Lazy",
      "--cfg=contexts/stack-size:64"};
  std::array<char*, 7> argv{};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    argv[i] = arguments[i].data();
  }
  int argc = static_cast<int>(arguments.size());
  return sg::Engine(&argc, argv.data());
}

Driver::Driver(std::span<const BytesPerSecond> capacity,
               std::span<const BatchFlow> flows,
               std::span<const PairBytes> pairs,
               SimGridUpdates updates)
    : flows_(flows), pairs_(pairs), engine_(make_engine(updates)), finish_s_(flows.size()) {
  for (const PairBytes& pair : pairs) {
    hosts_ = std::max({hosts_, pair.source.index() + 1, pair.target.index() + 1});
  }
  make_platform(capacity);
  make_actors();
}

void Driver::make_platform(std::span<const BytesPerSecond> capacity) {
  auto* const table = new TableZone;  // owned by the engine
  sg::NetZone* const zone = table->get_iface();
  for (std::size_t h = 0; h < hosts_; ++h) {
    host_.push_back(zone->create_host(fmt::format("gpu{}", h), 1.0));
  }
  std::vector<sg::Link*> links;
  for (std::size_t l = 0; l < capacity.size(); ++l) {
    const double rate = capacity[l].value > 0.0 ? capacity[l].value * kPartsOfByte : 1.0;
    links.push_back(zone->create_link(fmt::format("l{}", l), rate));
    links.back()->set_latency(0.0);
    links.back()->seal();
  }
  std::vector<TableZone::Path> routes(hosts_ * hosts_);
  for (std::size_t f = 0; f < flows_.size(); ++f) {
    auto& route = routes[pairs_[f].source.index() * hosts_ + pairs_[f].target.index()];
    for (const LinkId link : flows_[f].links) {
      route.push_back(links[link.index()]->get_impl());
    }
  }
  table->set_routes(hosts_, host_.front()->get_netpoint()->id(), std::move(routes));
  zone->seal();
}

/// The flows of each host by their start.
std::vector<std::vector<std::size_t>> Driver::flows_by(GpuId PairBytes::*end) const {
  std::vector<std::size_t> order(flows_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return flows_[a].start < flows_[b].start;
  });
  std::vector<std::vector<std::size_t>> by_host(hosts_);
  for (const std::size_t f : order) {
    by_host[(pairs_[f].*end).index()].push_back(f);
  }
  return by_host;
}

void Driver::make_actors() {
  const auto sent = flows_by(&PairBytes::source);
  const auto received = flows_by(&PairBytes::target);
  for (std::size_t h = 0; h < hosts_; ++h) {
    sg::Actor::create("s", host_[h], [this, flows = sent[h]] { send(flows); });
    sg::Actor::create("r", host_[h], [this, flows = received[h]] { receive(flows); });
  }
}

std::string mailbox(const PairBytes& pair) {
  return fmt::format("{}-{}", pair.source.value, pair.target.value);
}

void Driver::send(const std::vector<std::size_t>& flows) {
  std::vector<sg::CommPtr> comms;
  for (const std::size_t f : flows) {
    const double start = flows_[f].start.to_seconds().value;
    if (start > sg::Engine::get_clock()) {
      sg::this_actor::sleep_until(start);
    }
    const double size = std::max(1.0, std::round(flows_[f].bytes.value * kPartsOfByte));
    comms.push_back(sg::Mailbox::by_name(mailbox(pairs_[f]))
                        ->put_async(&token_, static_cast<std::uint64_t>(size)));
  }
  posted_cpu_s_ = sg::Engine::get_clock() == 0.0 ? cpu_seconds() : posted_cpu_s_;
  sg::Comm::wait_all(comms);
}

void Driver::receive(const std::vector<std::size_t>& flows) {
  std::vector<sg::CommPtr> comms;
  std::vector<int*> tokens(flows.size());
  for (std::size_t i = 0; i < flows.size(); ++i) {
    comms.push_back(sg::Mailbox::by_name(mailbox(pairs_[flows[i]]))->get_async<int>(&tokens[i]));
  }
  posted_cpu_s_ = sg::Engine::get_clock() == 0.0 ? cpu_seconds() : posted_cpu_s_;
  for (std::size_t i = 0; i < flows.size(); ++i) {
    comms[i]->wait();
    finish_s_[flows[i]] = comms[i]->get_finish_time();
  }
}

void Driver::run(ByteStream& stream) {
  const double start = cpu_seconds();
  posted_cpu_s_ = start;
  engine_.run();
  const double end = cpu_seconds();
  for (const double finish : finish_s_) {
    stream.put(finish);
  }
  stream.put(posted_cpu_s_ - start);
  stream.put(end - posted_cpu_s_);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  stream.put(static_cast<std::int64_t>(usage.ru_maxrss * 1024));
  stream.flush();
}

}  // namespace

SimGridRun run_on_simgrid(std::span<const BytesPerSecond> capacity,
                          std::span<const BatchFlow> flows,
                          std::span<const PairBytes> pairs,
                          SimGridUpdates updates) {
  MOESIM_CHECK(flows.size() == pairs.size() && !flows.empty(), "flows without their pairs");
  ChildProcess child(
      [&](ByteStream& stream) { Driver(capacity, flows, pairs, updates).run(stream); });
  const auto get = [&](auto& value) {
    if (!child.stream().get(value)) {
      throw EnvironmentError(
          fmt::format("network engine \"simgrid\": its process ended with {}", child.ending()));
    }
  };
  SimGridRun run;
  for (const BatchFlow& flow : flows) {
    double finish = 0.0;
    get(finish);
    run.finish.push_back(after(ticks({finish}), flow.latency));
  }
  get(run.post_cpu_s);
  get(run.run_cpu_s);
  get(run.peak_rss_bytes);
  return run;
}

}  // namespace moesim
