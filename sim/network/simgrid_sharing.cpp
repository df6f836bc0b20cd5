// SPDX-License-Identifier: Apache-2.0
// The only file that includes SimGrid. Two halves: SimGridSharing here, and in a child process
// SimGridChild, which owns the SimGrid engine. docs/network.md, "SimGrid", says why each setting.
#include "sim/network/simgrid_sharing.hpp"

#include <fmt/core.h>
#include <simgrid/kernel/resource/Model.hpp>
#include <simgrid/kernel/routing/NetZoneImpl.hpp>
#include <simgrid/s4u.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "sim/core/diagnostics.hpp"
#include "sim/network/child_process.hpp"

namespace moesim {
namespace {

namespace sg = simgrid::s4u;
namespace sgk = simgrid::kernel;

/// SimGrid 3.32 ignores the rate of a direct communication, and makes no link once it runs: a cap
/// is a private link of that capacity, from a pool made beforehand.
constexpr std::size_t kMostCappedFlows = 1024;

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

enum class Command : std::int32_t { kStart, kAdvance };

/// After Command::kStart; then num_links times std::int32_t.
struct StartMessage {
  double bytes = 0.0;
  double rate_cap = 0.0;
  std::int32_t flow = 0;
  std::int32_t num_links = 0;
};

/// Answer to Command::kAdvance (which carries the limit in seconds); then num_flows times
/// std::int32_t.
struct AdvanceReply {
  double now = 0.0;
  std::int32_t num_flows = 0;
};

/// A zone with one pair of hosts and a way between them that we choose anew for each flow: SimGrid
/// asks for it when a communication starts.
class ChosenPathZone : public sgk::routing::NetZoneImpl {
 public:
  ChosenPathZone() : NetZoneImpl("fabric") {}
  void choose(std::vector<sgk::resource::StandardLinkImpl*> links) { links_ = std::move(links); }

 protected:
  void get_local_route(const sgk::routing::NetPoint* /*source*/,
                       const sgk::routing::NetPoint* /*target*/,
                       sgk::routing::Route* into,
                       double* /*latency*/) override {
    into->link_list_ = links_;
  }

 private:
  std::vector<sgk::resource::StandardLinkImpl*> links_;
};

/// What runs in the child: one SimGrid actor that obeys the commands of the stream.
class SimGridChild {
 public:
  SimGridChild(ByteStream& stream, std::span<const BytesPerSecond> capacity);
  void run() { engine_.run(); }

 private:
  using Activity = const sgk::activity::ActivityImpl*;

  void obey();
  void start();
  void advance(double limit);
  void wait_for_drain(double limit);
  void note_drain();

  ByteStream& stream_;
  sg::Engine engine_;
  ChosenPathZone* zone_;  ///< owned by the engine
  sg::Host* source_ = nullptr;
  sg::Host* target_ = nullptr;
  std::vector<sg::Link*> links_;
  std::vector<sg::Link*> free_caps_;
  sgk::resource::Model* network_model_ = nullptr;
  sg::SemaphorePtr drain_ = sg::Semaphore::create(0);
  bool is_waiting_ = false;
  struct LiveFlow {
    std::int32_t id = 0;
    sg::CommPtr comm;
    sg::Link* cap = nullptr;  ///< null without a cap
  };
  sg::Link* make_link(const std::string& name, double rate);
  std::unordered_map<Activity, LiveFlow> live_;
  std::vector<LiveFlow> drained_;
};

/// SimGrid reads its settings from the arguments of a program.
sg::Engine make_engine() {
  std::array<std::string, 7> arguments{"moesim",
                                       "--log=root.thres:critical",
                                       "--cfg=network/model:CM02",
                                       "--cfg=network/crosstraffic:0",
                                       "--cfg=network/optim:Full",
                                       "--cfg=surf/precision:1e-13",
                                       "--cfg=contexts/stack-size:256"};
  std::array<char*, 8> argv{};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    argv[i] = arguments[i].data();
  }
  int argc = static_cast<int>(arguments.size());
  return sg::Engine(&argc, argv.data());
}

SimGridChild::SimGridChild(ByteStream& stream, std::span<const BytesPerSecond> capacity)
    : stream_(stream), engine_(make_engine()), zone_(new ChosenPathZone) {
  sg::NetZone* zone = zone_->get_iface();
  source_ = zone->create_host("source", 1.0);
  target_ = zone->create_host("target", 1.0);
  for (std::size_t l = 0; l < capacity.size(); ++l) {
    // A link without capacity stays unused: LatencyNetwork refuses flows that cross it.
    const double rate = capacity[l].value > 0.0 ? capacity[l].value : 1.0;
    links_.push_back(make_link(std::to_string(l), rate));
  }
  for (std::size_t i = 0; i < kMostCappedFlows; ++i) {
    free_caps_.push_back(make_link("cap" + std::to_string(i), 1.0));
  }
  zone->seal();
  for (sgk::resource::Model* model : engine_.get_all_models()) {
    if (model->get_name().find("Network") != std::string::npos) {
      network_model_ = model;
    }
  }
  sg::Link::on_communication_state_change_cb(
      [this](sgk::resource::NetworkAction&, sgk::resource::Action::State) { note_drain(); });
  sg::Actor::create("driver", source_, [this] { obey(); });
}

sg::Link* SimGridChild::make_link(const std::string& name, double rate) {
  sg::Link* link = zone_->get_iface()->create_link(name, rate * kPartsOfByte);
  link->set_latency(0.0);
  link->seal();
  return link;
}

void SimGridChild::obey() {
  Command command{};
  while (stream_.get(command)) {
    if (command == Command::kStart) {
      start();
    } else {
      double limit = 0.0;
      if (!stream_.get(limit)) {
        return;
      }
      advance(limit);
    }
  }
}

void SimGridChild::start() {
  StartMessage message;
  if (!stream_.get(message)) {
    return;
  }
  std::vector<sgk::resource::StandardLinkImpl*> path;
  for (std::int32_t i = 0; i < message.num_links; ++i) {
    std::int32_t link = 0;
    if (!stream_.get(link)) {
      return;
    }
    path.push_back(links_[static_cast<std::size_t>(link)]->get_impl());
  }
  sg::Link* cap = nullptr;
  if (std::isfinite(message.rate_cap)) {
    cap = free_caps_.back();
    free_caps_.pop_back();
    cap->set_bandwidth(message.rate_cap * kPartsOfByte);
    path.push_back(cap->get_impl());
  }
  zone_->choose(std::move(path));
  const sg::CommPtr comm = sg::Comm::sendto_init();
  comm->set_payload_size(
      static_cast<std::uint64_t>(std::max(1.0, std::round(message.bytes * kPartsOfByte))));
  comm->set_source(source_);
  comm->set_destination(target_);  // now it has all it needs, and starts
  live_.emplace(comm->get_impl(), LiveFlow{.id = message.flow, .comm = comm, .cap = cap});
}

/// A communication has changed its state: the last of the finished ones is it.
void SimGridChild::note_drain() {
  const auto& finished = *network_model_->get_finished_action_set();
  const auto flow = finished.empty() ? live_.end() : live_.find(finished.back().get_activity());
  if (flow == live_.end()) {
    return;
  }
  drained_.push_back(std::move(flow->second));
  live_.erase(flow);
  if (is_waiting_) {
    is_waiting_ = false;
    drain_->release();
  }
}

void SimGridChild::wait_for_drain(double limit) {
  is_waiting_ = true;
  if (limit == kNoLimit) {
    drain_->acquire();
  } else {
    drain_->acquire_timeout(limit - sg::Engine::get_clock());
  }
  is_waiting_ = false;
}

void SimGridChild::advance(double limit) {
  constexpr double kTick = 1e-12;
  while (drained_.empty() && !(live_.empty() && limit == kNoLimit) &&
         limit - sg::Engine::get_clock() > kTick / 2) {
    wait_for_drain(limit);
  }
  stream_.put(AdvanceReply{.now = sg::Engine::get_clock(),
                           .num_flows = static_cast<std::int32_t>(drained_.size())});
  for (const LiveFlow& flow : drained_) {
    stream_.put(flow.id);
    if (flow.cap != nullptr) {
      free_caps_.push_back(flow.cap);
    }
  }
  stream_.flush();
  drained_.clear();
}

class SimGridSharing final : public Sharing {
 public:
  explicit SimGridSharing(std::span<const BytesPerSecond> capacity)
      : child_([capacity](ByteStream& stream) { SimGridChild(stream, capacity).run(); }) {}

  void start(FlowId id, const Flow& flow) override {
    is_capped_.push_back(std::isfinite(flow.rate_cap.value));
    num_capped_ += is_capped_.back() ? 1U : 0U;
    if (num_capped_ > kMostCappedFlows) {
      throw EnvironmentError(
          fmt::format("network engine \"simgrid\": more than {} flows with a rate cap at once",
                      kMostCappedFlows));
    }
    ByteStream& out = child_.stream();
    out.put(Command::kStart);
    out.put(StartMessage{.bytes = flow.bytes.value,
                         .rate_cap = flow.rate_cap.value,
                         .flow = id.value,
                         .num_links = static_cast<std::int32_t>(flow.links.size())});
    for (const LinkId link : flow.links) {
      out.put(link.value);
    }
  }

  std::span<const FlowId> advance(SimTime limit) override;
  [[nodiscard]] SimTime now() const override { return now_; }

 private:
  template <typename T>
  void get(T& value) {
    if (!child_.stream().get(value)) {
      throw EnvironmentError(
          fmt::format("network engine \"simgrid\": its process ended with {}", child_.ending()));
    }
  }

  ChildProcess child_;
  SimTime now_;
  std::vector<FlowId> drained_;
  std::vector<bool> is_capped_;  ///< per flow
  std::size_t num_capped_ = 0;   ///< live
};

std::span<const FlowId> SimGridSharing::advance(SimTime limit) {
  child_.stream().put(Command::kAdvance);
  child_.stream().put(limit == SimTime::never() ? kNoLimit : limit.to_seconds().value);
  child_.stream().flush();
  AdvanceReply reply;
  get(reply);
  drained_.resize(static_cast<std::size_t>(reply.num_flows));
  for (FlowId& flow : drained_) {
    get(flow.value);
    num_capped_ -= is_capped_[flow.index()] ? 1U : 0U;
  }
  std::sort(drained_.begin(), drained_.end());
  if (!drained_.empty()) {
    now_ = std::max(now_, ticks({reply.now}));
  } else if (limit != SimTime::never()) {
    now_ = limit;
  }
  return drained_;
}

}  // namespace

bool simgrid_is_built() {
  return true;
}

std::unique_ptr<Sharing> make_simgrid_sharing(std::span<const BytesPerSecond> capacity) {
  return std::make_unique<SimGridSharing>(capacity);
}

}  // namespace moesim
