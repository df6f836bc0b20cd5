// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/layer/exchange.hpp"

#include <algorithm>
#include <stdexcept>

namespace moesim::gpu_ref {
namespace {

bool goes_to_experts(Transfer transfer) {
  return transfer == Transfer::kDispatch || transfer == Transfer::kCombineGradient;
}

struct Sides {
  const std::vector<PeerRows>* from = nullptr;
  const std::vector<PeerRows>* to = nullptr;
};

Sides sides(const RankPlan& plan, Transfer transfer) {
  return goes_to_experts(transfer) ? Sides{&plan.sends, &plan.receives}
                                   : Sides{&plan.receives, &plan.sends};
}

std::vector<PeerBytes> in_bytes(std::span<const PeerRows> rows, std::size_t row_bytes) {
  std::vector<PeerBytes> ranges;
  for (const PeerRows& peer : rows) {
    ranges.push_back({peer.peer,
                      static_cast<std::size_t>(peer.first) * row_bytes,
                      static_cast<std::size_t>(peer.count) * row_bytes});
  }
  return ranges;
}

char* at(void* base, std::int64_t row, std::size_t row_bytes) {
  return static_cast<char*>(base) + static_cast<std::size_t>(row) * row_bytes;
}

const char* at(const void* base, std::int64_t row, std::size_t row_bytes) {
  return static_cast<const char*>(base) + static_cast<std::size_t>(row) * row_bytes;
}

/// Fills `rows` rows of the target with the source's, over and over; zeros if there are none.
void repeat_rows(const Payload& payload,
                 std::int64_t source_rows,
                 std::int64_t rows,
                 StreamHandle stream) {
  if (source_rows == 0) {
    fill_bytes(payload.to, 0, static_cast<std::size_t>(rows) * payload.row_bytes, stream);
    return;
  }
  for (std::int64_t done = 0; done < rows; done += source_rows) {
    const std::int64_t count = std::min(source_rows, rows - done);
    copy_on_device(at(payload.to, done, payload.row_bytes),
                   payload.from,
                   static_cast<std::size_t>(count) * payload.row_bytes,
                   stream);
  }
}

Stage stage_of(Transfer transfer) {
  switch (transfer) {
    case Transfer::kDispatch:
      return Stage::kDispatch;
    case Transfer::kCombine:
      return Stage::kReturn;
    case Transfer::kCombineGradient:
      return Stage::kGradientDispatch;
    case Transfer::kDispatchGradient:
      return Stage::kGradientReturn;
  }
  return Stage::kDispatch;
}

void choose(RankLayer& layer, const RankTokens& tokens) {
  if (tokens.given != nullptr) {
    layer.choose(tokens.x, tokens.num_tokens, *tokens.given);
  } else {
    layer.choose(tokens.x, tokens.num_tokens);
  }
}

/// Rows of every pair of ranks, between buffers on one GPU. Ranks may have streams of their own: a
/// rank's copies are enqueued on the receiver's stream once all streams are idle.
void move_in_turn(std::span<RankLayer* const> layers, Transfer transfer) {
  for (RankLayer* layer : layers) {
    wait_for_stream(layer->stream());
  }
  for (RankLayer* receiver : layers) {
    const std::vector<Payload> into = receiver->payloads(transfer);
    for (RankLayer* sender : layers) {
      const std::vector<Payload> out_of = sender->payloads(transfer);
      const PeerRows from =
          (*sides(sender->plan(), transfer).from)[static_cast<std::size_t>(receiver->rank())];
      const PeerRows to =
          (*sides(receiver->plan(), transfer).to)[static_cast<std::size_t>(sender->rank())];
      for (std::size_t i = 0; i < into.size(); ++i) {
        copy_on_device(at(into[i].to, to.first, into[i].row_bytes),
                       at(out_of[i].from, from.first, into[i].row_bytes),
                       static_cast<std::size_t>(to.count) * into[i].row_bytes,
                       receiver->stream());
      }
    }
  }
  for (RankLayer* layer : layers) {
    wait_for_stream(layer->stream());
  }
}

void check_group(std::span<RankLayer* const> layers, std::size_t others) {
  bool whole = layers.size() == others && !layers.empty() &&
               layers.size() == static_cast<std::size_t>(layers.front()->spec().ranks);
  for (std::size_t i = 0; whole && i < layers.size(); ++i) {
    whole = layers[i]->rank() == static_cast<int>(i);
  }
  if (!whole) {
    throw std::invalid_argument("layer: ranks in turn are all ranks of a group, in order");
  }
}

}  // namespace

void transfer_rows(RankLayer& layer, Exchange& exchange, Transfer transfer) {
  StageClock* clock = exchange.uses_network() ? layer.clock() : nullptr;
  if (clock != nullptr) {
    clock->start(stage_of(transfer), layer.stream());
  }
  exchange.move(layer, transfer);
  if (clock != nullptr) {
    clock->stop(layer.stream());
  }
}

NcclExchange::NcclExchange(Communicator& communicator) : communicator_(communicator) {}

CountMatrix NcclExchange::gather_counts(RankLayer& layer) {
  if (layer.spec().ranks != communicator_.ranks() || layer.rank() != communicator_.rank()) {
    throw std::invalid_argument("layer: the communicator is not that of its rank");
  }
  const auto experts = static_cast<std::size_t>(layer.spec().shape.num_experts);
  all_counts_.reserve(experts * static_cast<std::size_t>(communicator_.ranks()));
  communicator_.all_gather(layer.device_counts(), all_counts_.data(), experts, layer.stream());
  return {
      communicator_.ranks(), layer.spec().shape.num_experts, all_counts_.download(layer.stream())};
}

void NcclExchange::move(const RankLayer& layer, Transfer transfer) {
  const Sides side = sides(layer.plan(), transfer);
  for (const Payload& payload : layer.payloads(transfer)) {
    communicator_.exchange(payload.from,
                           in_bytes(*side.from, payload.row_bytes),
                           payload.to,
                           in_bytes(*side.to, payload.row_bytes),
                           layer.stream());
  }
}

StandInExchange::StandInExchange(CountMatrix counts) : counts_(std::move(counts)) {}

CountMatrix StandInExchange::gather_counts(RankLayer& layer) {
  const std::vector<std::int32_t> own = layer.counts();
  const std::span<const std::int32_t> known = counts_.of_rank(layer.rank());
  if (!std::equal(own.begin(), own.end(), known.begin(), known.end())) {
    throw std::invalid_argument(
        "layer: the counts given for its rank are not those of its routing");
  }
  return counts_;
}

void StandInExchange::move(const RankLayer& layer, Transfer transfer) {
  const RankPlan& plan = layer.plan();
  const bool to_experts = goes_to_experts(transfer);
  for (const Payload& payload : layer.payloads(transfer)) {
    repeat_rows(payload,
                to_experts ? plan.send_rows : plan.receive_rows,
                to_experts ? plan.receive_rows : plan.send_rows,
                layer.stream());
  }
}

void forward(RankLayer& layer, Exchange& exchange, const RankTokens& tokens) {
  choose(layer, tokens);
  layer.plan(exchange.gather_counts(layer));
  layer.dispatch();
  transfer_rows(layer, exchange, Transfer::kDispatch);
  layer.run_experts();
  transfer_rows(layer, exchange, Transfer::kCombine);
  layer.combine(tokens.out);
}

void backward(RankLayer& layer,
              Exchange& exchange,
              const Bf16* d_out,
              const RankGradients& gradients) {
  layer.combine_backward(d_out);
  transfer_rows(layer, exchange, Transfer::kCombineGradient);
  layer.experts_backward(gradients);
  transfer_rows(layer, exchange, Transfer::kDispatchGradient);
  layer.dispatch_backward(gradients);
}

void forward_in_turn(std::span<RankLayer* const> layers, std::span<const RankTokens> tokens) {
  check_group(layers, tokens.size());
  CountMatrix counts{static_cast<int>(layers.size()), layers.front()->spec().shape.num_experts, {}};
  for (std::size_t rank = 0; rank < layers.size(); ++rank) {
    choose(*layers[rank], tokens[rank]);
    const std::vector<std::int32_t> own = layers[rank]->counts();
    counts.counts.insert(counts.counts.end(), own.begin(), own.end());
  }
  for (RankLayer* layer : layers) {
    layer->plan(counts);
    layer->dispatch();
  }
  move_in_turn(layers, Transfer::kDispatch);
  for (RankLayer* layer : layers) {
    layer->run_experts();
  }
  move_in_turn(layers, Transfer::kCombine);
  for (std::size_t rank = 0; rank < layers.size(); ++rank) {
    layers[rank]->combine(tokens[rank].out);
  }
}

void backward_in_turn(std::span<RankLayer* const> layers,
                      std::span<const Bf16* const> d_out,
                      std::span<const RankGradients> gradients) {
  check_group(layers, d_out.size());
  check_group(layers, gradients.size());
  for (std::size_t rank = 0; rank < layers.size(); ++rank) {
    layers[rank]->combine_backward(d_out[rank]);
  }
  move_in_turn(layers, Transfer::kCombineGradient);
  for (std::size_t rank = 0; rank < layers.size(); ++rank) {
    layers[rank]->experts_backward(gradients[rank]);
  }
  move_in_turn(layers, Transfer::kDispatchGradient);
  for (std::size_t rank = 0; rank < layers.size(); ++rank) {
    layers[rank]->dispatch_backward(gradients[rank]);
  }
}

}  // namespace moesim::gpu_ref
