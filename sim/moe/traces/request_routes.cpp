// SPDX-License-Identifier: Apache-2.0
#include "sim/moe/request_routes.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "sim/core/check.hpp"
#include "sim/moe/traces/pack.hpp"
#include "sim/moe/traces/refuse.hpp"
#include "sim/moe/traces/token_draw.hpp"
#include "sim/moe/traces/trace_source.hpp"

namespace moesim {
namespace {

class PackRoutes final : public RequestRoutes {
 public:
  PackRoutes(traces::RoutePack pack, std::vector<traces::TraceSequence> sequences)
      : pack_(std::move(pack)), sequences_(std::move(sequences)) {
    info_ = {.model = pack_.header.model,
             .origin = "trace",
             .draw = fmt::format("each request reads one of {} recorded sequences, row by row, "
                                 "again from the start at its end",
                                 sequences_.size()),
             .num_experts = pack_.header.experts,
             .top_k = pack_.header.top_k,
             .layers = pack_.header.layers,
             .slots_by_weight = pack_.header.slot_order == "weight_descending"};
  }

  [[nodiscard]] const RoutingSourceInfo& info() const override { return info_; }

  void choose(std::int64_t request,
              int layer,
              std::int64_t first_token,
              std::span<ExpertIndex> out) const override {
    MOESIM_CHECK(request >= 0 && first_token >= 0 && layer >= 0 && layer < info_.layers,
                 "no such token or layer");
    const traces::TraceSequence& sequence =
        sequences_[static_cast<std::size_t>(request) % sequences_.size()];
    traces::visit_integer_type(pack_.topk->type(), [&](auto zero) {
      read<decltype(zero)>(sequence, layer, first_token, out);
    });
  }

 private:
  template <typename T>
  void read(const traces::TraceSequence& sequence,
            int layer,
            std::int64_t first_token,
            std::span<ExpertIndex> out) const {
    const std::size_t slots = pack_.topk->size(2);
    const std::size_t layers = pack_.topk->size(1);
    const std::byte* const data = pack_.topk->data().data();
    std::int64_t token = first_token % sequence.rows;
    for (std::size_t at = 0; at < out.size(); at += slots) {
      const auto row = static_cast<std::size_t>(sequence.row_start + token);
      const std::size_t first = (row * layers + static_cast<std::size_t>(layer)) * slots;
      for (std::size_t slot = 0; slot < slots; ++slot) {
        out[at + slot] = static_cast<ExpertIndex>(traces::number_at<T>(data, first + slot));
      }
      token = token + 1 == sequence.rows ? 0 : token + 1;
    }
  }

  traces::RoutePack pack_;
  std::vector<traces::TraceSequence> sequences_;
  RoutingSourceInfo info_;
};

}  // namespace

std::unique_ptr<RequestRoutes> open_pack_routes(const RoutingSpec& spec, std::uint64_t seed) {
  return traces::open_trace_routes(spec, seed, {});
}

std::unique_ptr<RequestRoutes> traces::open_trace_routes(const RoutingSpec& spec,
                                                         std::uint64_t seed,
                                                         const Pace& pace) {
  traces::RoutePack pack = traces::read_pack(spec.trace, pace);
  if (!pack.per_token()) {
    throw UserError(std::vector<Diagnostic>{traces::mistake(
        pack.folder, "a counts pack has no sequences for requests to read", "routing.trace")});
  }
  std::vector<traces::TraceSequence> sequences = traces::kept_sequences(pack, spec.domains, seed);
  return std::make_unique<PackRoutes>(std::move(pack), std::move(sequences));
}

}  // namespace moesim
