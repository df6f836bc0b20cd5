// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu_ref/device/layer_case.hpp"

#include <algorithm>
#include <cmath>

namespace moesim::gpu_ref::testing {
namespace {

std::size_t size_of(std::int64_t rows, std::int64_t columns) {
  return static_cast<std::size_t>(rows * columns);
}

template <typename T>
std::span<const T> part(const std::vector<T>& values, std::int64_t begin, std::int64_t end) {
  return std::span<const T>(values).subspan(static_cast<std::size_t>(begin),
                                            static_cast<std::size_t>(end - begin));
}

/// The weights of the slots of a rank, one after the other.
std::vector<Bf16> of_rank(const LayerSpec& spec,
                          const std::vector<Bf16>& by_expert,
                          std::int64_t size,
                          int rank) {
  std::vector<Bf16> local(size_of(spec.slots_per_rank(), size));
  for (int e = 0; e < spec.shape.num_experts; ++e) {
    const int slot = spec.slot_of(e) - rank * spec.slots_per_rank();
    if (slot >= 0 && slot < spec.slots_per_rank()) {
      const auto weight = part(by_expert, e * size, (e + 1) * size);
      std::copy(weight.begin(), weight.end(), local.begin() + slot * size);
    }
  }
  return local;
}

/// The absolute tolerance is a share of the largest value.
Tolerance scaled(const Tolerance& tolerance, std::span<const double> expected) {
  double largest = 0;
  for (const double value : expected) {
    largest = std::max(largest, std::fabs(value));
  }
  return {tolerance.absolute * largest, tolerance.relative, tolerance.norm};
}

template <typename T>
void expect_close(const DeviceBuffer<T>& actual,
                  std::span<const double> expected,
                  const Tolerance& tolerance,
                  StreamHandle stream) {
  EXPECT_TRUE(are_close(to_double(actual.download(stream)), expected, scaled(tolerance, expected)));
}

}  // namespace

LayerCase::LayerCase(const LayerSpec& layer_spec,
                     std::vector<std::int32_t> tokens_of_rank,
                     const std::string& name)
    : spec(layer_spec), token_begin{0} {
  for (const std::int32_t tokens : tokens_of_rank) {
    token_begin.push_back(token_begin.back() + tokens);
  }
  const LayerShape& shape = spec.shape;
  const std::int64_t experts = shape.num_experts;
  const std::int64_t expert_size = static_cast<std::int64_t>(shape.hidden) * shape.expert_width;
  const std::int64_t shared_size = static_cast<std::int64_t>(shape.hidden) * shape.shared_width;
  const float in = 2.0F / std::sqrt(static_cast<float>(shape.hidden));
  const float out = 2.0F / std::sqrt(static_cast<float>(shape.expert_width));
  x = random_bf16(size_of(token_begin.back(), shape.hidden), name + " x", 2.0F);
  d_out = random_bf16(x.size(), name + " d_out");
  gate = random_bf16(size_of(experts, shape.hidden), name + " gate", in);
  gate_up = random_bf16(size_of(experts, 2 * expert_size), name + " gate_up", in);
  down = random_bf16(size_of(experts, expert_size), name + " down", out);
  shared_gate_up = random_bf16(size_of(1, 2 * shared_size), name + " shared_gate_up", in);
  shared_down = random_bf16(size_of(1, shared_size), name + " shared_down", out);
  bias = random_floats(size_of(experts, 1), name + " bias", 0.1F);
}

oracle::LayerWeights LayerCase::oracle_weights() const {
  const LayerShape& shape = spec.shape;
  oracle::LayerWeights weights;
  weights.gate = matrix_of(gate, shape.hidden);
  if (spec.gate.kind == GateKind::kSigmoidGroupTopK) {
    weights.bias = to_double(bias);
  }
  const std::int64_t size = static_cast<std::int64_t>(shape.hidden) * shape.expert_width;
  for (int e = 0; e < shape.num_experts; ++e) {
    weights.experts.push_back(
        {matrix_of(part(gate_up, e * 2 * size, (e + 1) * 2 * size), shape.hidden),
         matrix_of(part(down, e * size, (e + 1) * size), shape.expert_width)});
  }
  if (shape.shared_width > 0) {
    weights.shared = {matrix_of(shared_gate_up, shape.hidden),
                      matrix_of(shared_down, shape.shared_width)};
  }
  return weights;
}

oracle::LayerTokens LayerCase::oracle_tokens() const {
  oracle::LayerTokens tokens;
  tokens.x = matrix_of(x, spec.shape.hidden);
  tokens.token_begin = token_begin;
  tokens.experts = given_experts;
  tokens.weights = given_weights.empty()
                       ? std::vector<double>(given_experts.size(), 1.0 / spec.shape.top_k)
                       : to_double(given_weights);
  return tokens;
}

DeviceRank::DeviceRank(const LayerCase& c, int rank, StreamHandle stream)
    : rank_(rank), stream_(stream), num_tokens_(c.num_tokens(rank)) {
  const LayerShape& shape = c.spec.shape;
  const std::int64_t size = static_cast<std::int64_t>(shape.hidden) * shape.expert_width;
  const std::int64_t first = c.token_begin[static_cast<std::size_t>(rank)];
  const std::int64_t last = first + num_tokens_;
  const auto upload = [&](std::span<const Bf16> values) {
    return DeviceBuffer<Bf16>(values, stream);
  };
  x_ = upload(part(c.x, first * shape.hidden, last * shape.hidden));
  d_out_ = upload(part(c.d_out, first * shape.hidden, last * shape.hidden));
  gate_ = upload(c.gate);
  gate_up_ = upload(of_rank(c.spec, c.gate_up, 2 * size, rank));
  down_ = upload(of_rank(c.spec, c.down, size, rank));
  shared_gate_up_ = upload(c.shared_gate_up);
  shared_down_ = upload(c.shared_down);
  bias_ = DeviceBuffer<float>(c.bias, stream);
  for (auto [buffer, like] : {std::pair(&out_, &x_),
                              std::pair(&d_x_, &x_),
                              std::pair(&d_gate_up_, &gate_up_),
                              std::pair(&d_down_, &down_),
                              std::pair(&d_shared_gate_up_, &shared_gate_up_),
                              std::pair(&d_shared_down_, &shared_down_)}) {
    *buffer = DeviceBuffer<Bf16>(like->size());
    buffer->fill(0xff, stream);
  }
  d_gate_ = DeviceBuffer<float>(gate_.size());
  d_gate_.fill(0xff, stream);
  is_given_ = !c.given_experts.empty();
  if (is_given_) {
    given_.experts = part(c.given_experts, first * shape.top_k, last * shape.top_k);
    if (!c.given_weights.empty()) {
      given_.weights = part(c.given_weights, first * shape.top_k, last * shape.top_k);
    }
  }
  wait_for_stream(stream);
  layer_ = std::make_unique<RankLayer>(c.spec, rank, weights(), stream);
}

RankWeights DeviceRank::weights() const {
  return {gate_.data(),
          bias_.data(),
          gate_up_.data(),
          down_.data(),
          shared_gate_up_.data(),
          shared_down_.data()};
}

RankGradients DeviceRank::gradients() const {
  return {d_x_.data(),
          d_gate_.data(),
          d_gate_up_.data(),
          d_down_.data(),
          d_shared_gate_up_.data(),
          d_shared_down_.data()};
}

RankTokens DeviceRank::tokens() const {
  return {x_.data(), out_.data(), num_tokens_, is_given_ ? &given_ : nullptr};
}

void DeviceRank::check_forward(const LayerCase& c,
                               const oracle::LayerPass& expected,
                               const Tolerance& tolerance) {
  SCOPED_TRACE(::testing::Message() << "rank " << rank_);
  const auto rank = static_cast<std::size_t>(rank_);
  const std::int64_t begin = c.token_begin[rank];
  const std::int64_t end = c.token_begin[rank + 1];
  const std::int64_t top_k = c.spec.shape.top_k;
  const auto experts = part(expected.experts, begin * top_k, end * top_k);
  EXPECT_EQ(layer_->experts(), std::vector<std::int32_t>(experts.begin(), experts.end()));
  const auto keep = part(expected.keep, begin * top_k, end * top_k);
  std::vector<std::uint8_t> kept_here;
  for (const std::int32_t row : layer_->rows_of_assignments()) {
    kept_here.push_back(row >= 0 ? 1 : 0);
  }
  EXPECT_EQ(kept_here, std::vector<std::uint8_t>(keep.begin(), keep.end()));
  EXPECT_TRUE(are_close(to_double(layer_->weights()),
                        part(expected.weights, begin * top_k, end * top_k),
                        {1e-5, 1e-4, 1e-4}));
  const GateLosses losses = layer_->losses();
  const std::vector<double> both = {static_cast<double>(losses.auxiliary),
                                    static_cast<double>(losses.z)};
  EXPECT_TRUE(
      are_close(both,
                std::vector<double>{expected.losses[rank].auxiliary, expected.losses[rank].z},
                {1e-5, 1e-4, 1e-4}));
  expect_close(out_, oracle::rows_of(expected.out, begin, end).values, tolerance, stream_);
}

void DeviceRank::check_backward(const LayerCase& c,
                                const oracle::LayerGradients& expected,
                                const Tolerance& tolerance) {
  SCOPED_TRACE(::testing::Message() << "rank " << rank_);
  const auto rank = static_cast<std::size_t>(rank_);
  const auto close = [&](const auto& actual, std::span<const double> values, const char* what) {
    SCOPED_TRACE(what);
    expect_close(actual, values, tolerance, stream_);
  };
  close(d_x_,
        oracle::rows_of(expected.x, c.token_begin[rank], c.token_begin[rank + 1]).values,
        "d_x");
  close(d_gate_, expected.gate[rank].values, "d_gate");
  std::vector<double> gate_up(d_gate_up_.size());
  std::vector<double> down(d_down_.size());
  for (int e = 0; e < c.spec.shape.num_experts; ++e) {
    const int slot = c.spec.slot_of(e) - rank_ * c.spec.slots_per_rank();
    if (slot >= 0 && slot < c.spec.slots_per_rank()) {
      const oracle::ExpertGradients& own = expected.experts[static_cast<std::size_t>(e)];
      const auto size = static_cast<std::ptrdiff_t>(own.gate_up.values.size());
      std::copy(
          own.gate_up.values.begin(), own.gate_up.values.end(), gate_up.begin() + slot * size);
      std::copy(own.down.values.begin(), own.down.values.end(), down.begin() + slot * size / 2);
    }
  }
  close(d_gate_up_, gate_up, "d_gate_up");
  close(d_down_, down, "d_down");
  if (c.spec.shape.shared_width > 0) {
    close(d_shared_gate_up_, expected.shared[rank].gate_up.values, "d_shared_gate_up");
    close(d_shared_down_, expected.shared[rank].down.values, "d_shared_down");
  }
}

}  // namespace moesim::gpu_ref::testing
