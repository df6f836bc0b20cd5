// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/collective.hpp"

#include <fmt/core.h>

#include <cmath>
#include <memory>
#include <utility>

#include "sim/calibrate/predict_exchange.hpp"

namespace moesim::calibrate {
namespace {

/// Pairs that exchange nothing have no transfer.
void set_bytes(ExchangeWork& work, const AllToAll& measured) {
  std::vector<Transfer>& transfers = work.traffic.dispatch.transfers;
  for (Transfer& t : transfers) {
    t.bytes = measured.send_bytes[t.source.index() * static_cast<std::size_t>(measured.ranks) +
                                  t.destination.index()];
  }
  std::erase_if(transfers, [](const Transfer& t) { return t.bytes == 0; });
}

}  // namespace

Point all_to_all_point(Hardware& hardware, const AllToAll& measured) {
  auto cluster = hardware.cluster(measured.ranks);
  const int domains = cluster->place(GpuId{measured.ranks - 1}).domain + 1;
  const auto each = static_cast<std::int64_t>(std::ceil(measured.bytes / measured.ranks));
  ExchangeWork prepared = prepare_all_to_all(std::move(cluster), measured.ranks, each);
  const bool uneven = !measured.send_bytes.empty();
  if (uneven) {
    set_bytes(prepared, measured);
  }
  auto work = std::make_shared<const ExchangeWork>(std::move(prepared));
  Point point;
  point.family = KernelFamily::kCommunication;
  point.kernel = "nccl";
  point.place = measured.place;
  point.source = measured.source;
  const char* const name = uneven ? "all-to-all-v" : "all-to-all";
  point.label = fmt::format("{}, {} ranks, {:.0f} B", name, measured.ranks, measured.bytes);
  point.shape = uneven ? "alltoallv" : "alltoall";
  point.ep = measured.ranks;
  point.size = measured.bytes;
  point.uses_scale_up = true;
  point.uses_scale_out = domains > 1;
  point.rows = bytes_per_rank(*work);
  point.slots = measured.ranks;
  point.width = domains;
  point.measured = measured.time;
  point.predict = [work](const CostConstants& c) { return predict_exchange(*work, c); };
  return point;
}

}  // namespace moesim::calibrate
