// SPDX-License-Identifier: Apache-2.0
#include "sim/calibrate/collective.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <utility>

#include "sim/calibrate/predict_exchange.hpp"

namespace moesim::calibrate {

Point all_to_all_point(Hardware& hardware, const AllToAll& measured) {
  auto cluster = hardware.cluster(measured.ranks);
  const int domains = cluster->place(GpuId{measured.ranks - 1}).domain + 1;
  const auto each = static_cast<std::int64_t>(std::ceil(measured.bytes / measured.ranks));
  auto work = std::make_shared<const ExchangeWork>(
      prepare_all_to_all(std::move(cluster), measured.ranks, each));
  Point point;
  point.family = KernelFamily::kCommunication;
  point.kernel = "nccl";
  point.place = measured.place;
  point.source = measured.source;
  point.label = fmt::format("all-to-all, {} ranks, {:.0f} B", measured.ranks, measured.bytes);
  point.shape = "alltoall";
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
