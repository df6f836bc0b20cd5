// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/oracle/layer.hpp"

namespace moesim::gpu_ref::oracle {
namespace {

std::span<const std::int32_t> slots_of(std::span<const std::int32_t> values,
                                       std::int64_t begin,
                                       std::int64_t end,
                                       int top_k) {
  return values.subspan(static_cast<std::size_t>(begin * top_k),
                        static_cast<std::size_t>((end - begin) * top_k));
}

/// The gate of one rank, its overflow and its losses.
void route_rank(const LayerSpec& spec,
                const LayerWeights& weights,
                const LayerTokens& tokens,
                std::size_t rank,
                LayerPass& pass) {
  const std::int64_t begin = tokens.token_begin[rank];
  const std::int64_t end = tokens.token_begin[rank + 1];
  const int top_k = spec.shape.top_k;
  const Matrix logits = product_with_transposed(rows_of(tokens.x, begin, end), weights.gate);
  Choice choice = choose(logits, weights.bias, spec.gate, top_k);
  const bool given = !tokens.experts.empty();
  if (given) {
    const auto experts = slots_of(tokens.experts, begin, end, top_k);
    choice.experts.assign(experts.begin(), experts.end());
    choice.weights.assign(tokens.weights.begin() + begin * top_k,
                          tokens.weights.begin() + end * top_k);
  }
  if (spec.capacity.overflow == Overflow::kNextBest && end > begin) {
    divert(choice.experts,
           choice.choice,
           top_k,
           expert_capacity(spec.capacity.factor, end - begin, top_k, spec.shape.num_experts));
    if (!given) {
      weigh(choice, spec.gate);
    }
  }
  pass.losses.push_back(
      losses_of(choice, counts_of(choice.experts, spec.shape.num_experts), spec.gate));
  pass.experts.insert(pass.experts.end(), choice.experts.begin(), choice.experts.end());
  pass.weights.insert(pass.weights.end(), choice.weights.begin(), choice.weights.end());
  pass.choices.push_back(std::move(choice));
}

void copy_row(const Matrix& from, std::int64_t row, Matrix& to, std::int64_t target) {
  for (std::int64_t h = 0; h < from.columns; ++h) {
    to.at(target, h) = from.at(row, h);
  }
}

void run_routed(const LayerSpec& spec,
                const LayerWeights& weights,
                const LayerTokens& tokens,
                LayerPass& pass) {
  pass.rows.resize(static_cast<std::size_t>(spec.shape.num_experts));
  for (std::size_t a = 0; a < pass.experts.size(); ++a) {
    if (pass.keep[a] != 0) {
      pass.rows[static_cast<std::size_t>(pass.experts[a])].assignments.push_back(
          static_cast<std::int64_t>(a));
    }
  }
  for (std::size_t e = 0; e < pass.rows.size(); ++e) {
    ExpertRows& rows = pass.rows[e];
    const auto count = static_cast<std::int64_t>(rows.assignments.size());
    Matrix x(count, spec.shape.hidden);
    for (std::int64_t i = 0; i < count; ++i) {
      copy_row(tokens.x, rows.assignments[static_cast<std::size_t>(i)] / spec.shape.top_k, x, i);
    }
    rows.pass = run_expert(weights.experts[e], std::move(x), spec.precision == Precision::kFp8);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t a = rows.assignments[static_cast<std::size_t>(i)];
      for (std::int64_t h = 0; h < spec.shape.hidden; ++h) {
        pass.out.at(a / spec.shape.top_k, h) +=
            pass.weights[static_cast<std::size_t>(a)] * rows.pass.y.at(i, h);
      }
    }
  }
}

/// Gradients through the routed experts; fills d_weights.
void routed_backward(const LayerSpec& spec,
                     const LayerWeights& weights,
                     const LayerPass& pass,
                     const Matrix& d_out,
                     std::vector<double>& d_weights,
                     LayerGradients& out) {
  for (std::size_t e = 0; e < pass.rows.size(); ++e) {
    const ExpertRows& rows = pass.rows[e];
    const auto count = static_cast<std::int64_t>(rows.assignments.size());
    Matrix d_y(count, spec.shape.hidden);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto a = static_cast<std::size_t>(rows.assignments[static_cast<std::size_t>(i)]);
      const auto token = static_cast<std::int64_t>(a) / spec.shape.top_k;
      for (std::int64_t h = 0; h < spec.shape.hidden; ++h) {
        d_y.at(i, h) = pass.weights[a] * d_out.at(token, h);
        d_weights[a] += d_out.at(token, h) * rows.pass.y.at(i, h);
      }
    }
    ExpertGradients gradients = expert_backward(weights.experts[e], rows.pass, d_y);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t token = rows.assignments[static_cast<std::size_t>(i)] / spec.shape.top_k;
      for (std::int64_t h = 0; h < spec.shape.hidden; ++h) {
        out.x.at(token, h) += gradients.x.at(i, h);
      }
    }
    gradients.x = {};
    out.experts.push_back(std::move(gradients));
  }
}

void add_rows(Matrix& to, std::int64_t begin, const Matrix& rows) {
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    for (std::int64_t h = 0; h < rows.columns; ++h) {
      to.at(begin + r, h) += rows.at(r, h);
    }
  }
}

}  // namespace

LayerPass run_layer(const LayerSpec& spec, const LayerWeights& weights, const LayerTokens& tokens) {
  LayerPass pass;
  for (std::size_t rank = 0; rank + 1 < tokens.token_begin.size(); ++rank) {
    route_rank(spec, weights, tokens, rank, pass);
  }
  pass.keep = kept(spec, pass.experts, tokens.token_begin);
  pass.out = Matrix(tokens.x.rows, tokens.x.columns);
  run_routed(spec, weights, tokens, pass);
  if (spec.shape.shared_width > 0) {
    pass.shared = run_expert(weights.shared, tokens.x, false);
    add_scaled(pass.out, pass.shared.y, 1.0);
  }
  return pass;
}

LayerGradients layer_backward(const LayerSpec& spec,
                              const LayerWeights& weights,
                              const LayerTokens& tokens,
                              const LayerPass& pass,
                              const Matrix& d_out) {
  LayerGradients out;
  out.x = Matrix(tokens.x.rows, tokens.x.columns);
  std::vector<double> d_weights(pass.weights.size());
  routed_backward(spec, weights, pass, d_out, d_weights, out);
  for (std::size_t rank = 0; rank < pass.choices.size(); ++rank) {
    const std::int64_t begin = tokens.token_begin[rank];
    const std::int64_t end = tokens.token_begin[rank + 1];
    const Choice& choice = pass.choices[rank];
    const auto through_weights =
        tokens.experts.empty()
            ? std::span<const double>(d_weights).subspan(
                  static_cast<std::size_t>(begin * spec.shape.top_k), choice.experts.size())
            : std::span<const double>();
    const Matrix d_logits = logits_backward(
        choice, through_weights, counts_of(choice.experts, spec.shape.num_experts), spec.gate);
    add_rows(out.x, begin, product(d_logits, weights.gate));
    out.gate.push_back(product(transposed(d_logits), rows_of(tokens.x, begin, end)));
    if (spec.shape.shared_width > 0) {
      const ExpertPass own{rows_of(pass.shared.x, begin, end),
                           rows_of(pass.shared.gate_up, begin, end),
                           rows_of(pass.shared.activated, begin, end),
                           {}};
      ExpertGradients gradients = expert_backward(weights.shared, own, rows_of(d_out, begin, end));
      add_rows(out.x, begin, gradients.x);
      gradients.x = {};
      out.shared.push_back(std::move(gradients));
    }
  }
  return out;
}

}  // namespace moesim::gpu_ref::oracle
