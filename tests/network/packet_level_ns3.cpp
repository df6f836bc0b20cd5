// SPDX-License-Identifier: Apache-2.0
#include <ns3/applications-module.h>
#include <ns3/core-module.h>
#include <ns3/internet-module.h>
#include <ns3/network-module.h>
#include <ns3/point-to-point-module.h>
#include <ns3/traffic-control-module.h>

#include <cmath>
#include <cstdint>

#include "tests/network/packet_level.hpp"

namespace moesim::testing {
namespace {

constexpr std::uint16_t kMtu = 9000;
constexpr std::uint32_t kSegment = 8948;  // kMtu less IP 20 and TCP with timestamps 32
constexpr std::uint32_t kWindow = 16;     // segments in flight, 143 kB

void set_defaults() {
  ns3::Config::SetDefault("ns3::TcpSocket::SegmentSize", ns3::UintegerValue(kSegment));
  ns3::Config::SetDefault("ns3::TcpSocket::SndBufSize", ns3::UintegerValue(kWindow * kSegment));
  ns3::Config::SetDefault("ns3::TcpSocket::RcvBufSize", ns3::UintegerValue(kWindow * kSegment));
  ns3::Config::SetDefault("ns3::TcpSocket::InitialCwnd", ns3::UintegerValue(kWindow));
  ns3::Config::SetDefault("ns3::TcpSocket::DelAckCount", ns3::UintegerValue(1));
}

/// What has arrived of one transfer.
struct Arrival {
  std::int64_t missing = 0;
  double finish_s = -1.0;
};

void on_packet(Arrival* arrival, ns3::Ptr<const ns3::Packet> packet, const ns3::Address&) {
  arrival->missing -= packet->GetSize();
  if (arrival->missing == 0) {
    arrival->finish_s = ns3::Simulator::Now().GetSeconds();
  }
}

class PacketNetwork {
 public:
  PacketNetwork(std::uint32_t vertices, const std::vector<PacketCable>& cables) {
    nodes_.Create(vertices);
    ns3::InternetStackHelper stack;
    stack.Install(nodes_);
    for (const PacketCable& cable : cables) {
      add_cable(cable);
    }
    ns3::Ipv4GlobalRoutingHelper::PopulateRoutingTables();
  }

  void add(const PacketTransfer& transfer, std::uint16_t port, Arrival& arrival) {
    const auto target = nodes_.Get(transfer.target);
    const ns3::Ipv4Address to = target->GetObject<ns3::Ipv4>()->GetAddress(1, 0).GetLocal();
    ns3::PacketSinkHelper sink("ns3::TcpSocketFactory",
                               ns3::InetSocketAddress(ns3::Ipv4Address::GetAny(), port));
    const ns3::ApplicationContainer receiver = sink.Install(target);
    receiver.Get(0)->TraceConnectWithoutContext("Rx", ns3::MakeBoundCallback(&on_packet, &arrival));
    ns3::BulkSendHelper bulk("ns3::TcpSocketFactory", ns3::InetSocketAddress(to, port));
    bulk.SetAttribute("MaxBytes", ns3::UintegerValue(static_cast<std::uint64_t>(transfer.bytes)));
    bulk.SetAttribute("SendSize", ns3::UintegerValue(kSegment));
    bulk.Install(nodes_.Get(transfer.source));
  }

 private:
  void add_cable(const PacketCable& cable) {
    ns3::PointToPointHelper helper;
    const auto bits_per_s = static_cast<std::uint64_t>(std::llround(cable.bytes_per_s * 8));
    helper.SetDeviceAttribute("DataRate", ns3::DataRateValue(ns3::DataRate(bits_per_s)));
    helper.SetDeviceAttribute("Mtu", ns3::UintegerValue(kMtu));
    helper.SetChannelAttribute("Delay", ns3::TimeValue(ns3::Seconds(cable.latency_s)));
    helper.SetQueue("ns3::DropTailQueue", "MaxSize", ns3::StringValue("1000000p"));
    const ns3::NetDeviceContainer devices =
        helper.Install(nodes_.Get(cable.from), nodes_.Get(cable.to));
    addresses_.Assign(devices);
    addresses_.NewNetwork();
    ns3::TrafficControlHelper().Uninstall(devices);  // its queues drop
  }

  ns3::NodeContainer nodes_;
  ns3::Ipv4AddressHelper addresses_{"10.0.0.0", "255.255.255.252"};
};

}  // namespace

bool packet_level_is_built() {
  return true;
}

std::vector<double> packet_level(std::uint32_t vertices,
                                 const std::vector<PacketCable>& cables,
                                 const std::vector<PacketTransfer>& transfers) {
  set_defaults();
  std::vector<Arrival> arrivals(transfers.size());
  {
    PacketNetwork network(vertices, cables);
    constexpr std::uint16_t kFirstPort = 5000;
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      arrivals[i].missing = transfers[i].bytes;
      network.add(transfers[i], static_cast<std::uint16_t>(kFirstPort + i), arrivals[i]);
    }
    ns3::Simulator::Run();
  }
  ns3::Simulator::Destroy();
  std::vector<double> finish;
  finish.reserve(arrivals.size());
  for (const Arrival& arrival : arrivals) {
    finish.push_back(arrival.finish_s);
  }
  return finish;
}

}  // namespace moesim::testing
