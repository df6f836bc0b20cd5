// SPDX-License-Identifier: Apache-2.0
// Attention by hand. At full efficiency the toy GPU does 1 Tflop/s in bf16 and moves 1 TB/s, so
// that 1,000 flops and 1,000 B are a nanosecond each.
#include "sim/step/attention_cost.hpp"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>

namespace moesim {
namespace {

constexpr double kNano = 1e-9;
constexpr double kTolerance = 1e-18;

ComputeModel toy(double rate = 2e12, double bandwidth = 2e12) {
  ComputeModel c;
  c.gpu = {.name = "toy",
           .memory = {},
           .memory_bandwidth = {bandwidth},
           .bf16_rate = {rate},
           .fp8_rate = {rate},
           .sms = 4};
  c.constants.gemm_efficiency = 0.5;
  c.constants.memory_efficiency = 0.5;
  c.constants.tile_rows = c.constants.tile_columns = 128;
  return c;
}

AttentionShape gqa() {
  return {.kind = AttentionKind::kGqa, .heads = 4, .kv_heads = 2, .head_dim = 2};
}

AttentionShape mla(int q_lora_rank = 3) {
  return {.kind = AttentionKind::kMla,
          .heads = 4,
          .head_dim = 2,
          .q_lora_rank = q_lora_rank,
          .kv_lora_rank = 3,
          .rope_dim = 1,
          .nope_dim = 2};
}

AttentionLoad decode() {
  return {.kind = StepKind::kDecode, .sequences = 10, .new_tokens = 1, .context = 100};
}
AttentionLoad prefill() {
  return {.kind = StepKind::kPrefill, .sequences = 2, .new_tokens = 3, .context = 5};
}

double core(const ComputeModel& c, const AttentionShape& a, const AttentionLoad& load) {
  return attention_core_time(c, a, load).value;
}

// 10 * 100 * 4 * 4 * 2 = 32,000 flops; 10 * (100 * 8 * 2 + 2 * 4 * 2 * 2) = 16,320 B.
TEST(AttentionCore, DecodesGroupedQueriesByFlopsOrBytes) {
  EXPECT_NEAR(core(toy(), gqa(), decode()), 32.0 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(2e15), gqa(), decode()), 16.32 * kNano, kTolerance);
}

// An fp8 cache is half: 10 * (800 + 32) B.
TEST(AttentionCore, ReadsTheCacheInItsFormat) {
  AttentionLoad load = decode();
  load.kv_dtype = Dtype::kFp8;
  EXPECT_NEAR(core(toy(2e15), gqa(), load), 8.32 * kNano, kTolerance);
}

// 10 * 100 * 2 * 4 * (2 * 3 + 1) = 56,000 flops; 10 * (100 * 4 * 2 + 4 * 7 * 2) = 8,560 B.
TEST(AttentionCore, DecodesInTheLatentSpace) {
  EXPECT_NEAR(core(toy(), mla(), decode()), 56.0 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(2e15), mla(), decode()), 8.56 * kNano, kTolerance);
}

// Causal pairs 3 * 5 - 3 = 12 of each of 2 sequences. gqa: 2 * 12 * 2 * 4 * 4 = 768 flops, 2 * (3 *
// 4
// + 5 * 2) * 4 * 2 = 352 B. mla: 2 * 12 * 2 * 4 * 5 = 960 flops, 2 * (3 * 4 + 5 * 4) * 5 * 2 = 640
// B.
TEST(AttentionCore, PrefillsCausally) {
  EXPECT_NEAR(core(toy(), gqa(), prefill()), 0.768 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(2e15), gqa(), prefill()), 0.352 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(), mla(), prefill()), 0.96 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(2e15), mla(), prefill()), 0.64 * kNano, kTolerance);
}

// A window of 4. Decode: 10 * 4 * 4 * 4 * 2 = 1,280 flops, 10 * (4 * 8 * 2 + 32) = 960 B; half of
// the layers without it: the mean with 32,000 flops. Prefill of 3 tokens that see 3, 4 and 5: 3 + 4
// + 4 = 11 pairs instead of 12, and 5 keys of min(5, 3 + 4 - 1); with a window of 2, 6 pairs, 4
// keys.
TEST(AttentionCore, OfAWindowedLayerSeesNoFurther) {
  AttentionShape a = gqa();
  a.window = 4;
  EXPECT_NEAR(core(toy(), a, decode()), 1.28 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(2e15), a, decode()), 0.96 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(), a, prefill()), 0.768 * 11 / 12 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(2e15), a, prefill()), 0.352 * kNano, kTolerance);
  a.full_every = 2;
  EXPECT_NEAR(core(toy(), a, decode()), (1.28 + 32) / 2 * kNano, kTolerance);
  EXPECT_DOUBLE_EQ(attention_pairs(a, prefill()), 2 * 11.5);
  a.full_every = 4;
  EXPECT_NEAR(core(toy(), a, decode()), (3 * 1.28 + 32) / 4 * kNano, kTolerance);
  a.full_every = 0;
  a.window = 2;
  EXPECT_NEAR(core(toy(), a, prefill()), 0.768 * 6 / 12 * kNano, kTolerance);
  EXPECT_NEAR(core(toy(2e15), a, prefill()), 2 * (3 * 4 + 4 * 2) * 4 * 2e-3 * kNano, kTolerance);
}

// Several loads share one core; a window as long as the context changes nothing.
TEST(AttentionCore, OfALongWindowIsTheWholeContext) {
  const std::array<AttentionLoad, 2> loads = {decode(), prefill()};
  AttentionShape a = gqa();
  const Seconds whole = attention_core_time(toy(), a, loads);
  a.window = 100;
  EXPECT_EQ(attention_core_time(toy(), a, loads).value, whole.value);
  a.window = 1;
  EXPECT_LT(attention_core_time(toy(), a, loads).value, whole.value);
}

TEST(AttentionCore, KnowsNoOtherSteps) {
  AttentionLoad load = decode();
  load.kind = StepKind::kTrain;
  EXPECT_THROW((void)core(toy(), gqa(), load), std::logic_error);
}

// On a GPU without limits only the starts are left, 1 us each. gqa: two norms, q k v, rotation,
// core, output. mla: two norms, down, queries, rotation, into and out of the latent space, core,
// output; without a latent of the queries one less, in prefill the expansion and keys put together
// instead of two. fp8 projections have their rows quantised: two, three and in prefill four kernels
// more.
TEST(AttentionBlock, IsSoManyKernels) {
  ComputeModel c = toy(1e30, 1e30);
  c.constants.kernel_launch = microseconds(1);
  ModelShape m;
  m.hidden_size = 8;
  const auto kernels = [&](const AttentionShape& a, const AttentionLoad& load) {
    m.attention = a;
    return attention_time(c, m, load).value * 1e6;
  };
  EXPECT_NEAR(kernels(gqa(), decode()), 6, 1e-9);
  EXPECT_NEAR(kernels(mla(), decode()), 9, 1e-9);
  EXPECT_NEAR(kernels(mla(0), decode()), 8, 1e-9);
  EXPECT_NEAR(kernels(mla(), prefill()), 9, 1e-9);
  m.dense_dtype = Dtype::kFp8;
  EXPECT_NEAR(kernels(gqa(), decode()), 6 + 2, 1e-9);
  EXPECT_NEAR(kernels(mla(), decode()), 9 + 3, 1e-9);
  EXPECT_NEAR(kernels(mla(), prefill()), 9 + 4, 1e-9);
  m.dense_dtype = Dtype::kBf16;
  EXPECT_NEAR(kernels({.kind = AttentionKind::kNone}, decode()), 1, 1e-9);
}

// Arithmetic for nothing, hidden 8, 10 tokens: norms 2 * 4 * 10 * 8 * 2 = 1,280 B; q k v: weights 8
// * 16 * 2, rows in 10 * 16, out 10 * 32 = 736 B; rotation 2 * 10 * 16 * 2 = 640 B; core 16,320 B;
// output: weights 8 * 8 * 2, rows 2 * 10 * 16 = 448 B.
TEST(AttentionBlock, MovesItsWeightsRowsAndCache) {
  ModelShape m;
  m.hidden_size = 8;
  m.attention = gqa();
  EXPECT_NEAR(attention_time(toy(1e30), m, decode()).value,
              (1.28 + 0.736 + 0.64 + 16.32 + 0.448) * kNano,
              kTolerance);
}

// Twice the block and half a core more; with selective recomputation two norms and the two
// up-projections of mla (three kernels) besides: kernels of 1 us each, nothing else costs.
TEST(AttentionBackward, IsTwiceTheBlockAndHalfACore) {
  ModelShape m;
  m.hidden_size = 8;
  m.attention = gqa();
  const ComputeModel c = toy();
  EXPECT_NEAR(attention_backward_time(c, m, prefill(), Recompute::kNone).value,
              2 * attention_time(c, m, prefill()).value + 0.5 * core(c, gqa(), prefill()),
              kTolerance);
  ComputeModel starts = toy(1e30, 1e30);
  starts.constants.kernel_launch = microseconds(1);
  const auto us = [&](Recompute recompute) {
    return attention_backward_time(starts, m, prefill(), recompute).value * 1e6;
  };
  m.attention = mla();
  EXPECT_NEAR(us(Recompute::kNone), 2 * 9 + 0.5, 1e-9);
  EXPECT_NEAR(us(Recompute::kSelective), 2 * 9 + 0.5 + 2 + 3, 1e-9);
  // Quantising: four of the forward pass are not doubled, four of the backward pass come in.
  m.dense_dtype = Dtype::kFp8;
  EXPECT_NEAR(us(Recompute::kNone), 2 * 9 + 0.5 + 4, 1e-9);
  m.dense_dtype = Dtype::kBf16;
  m.attention = {.kind = AttentionKind::kNone};
  EXPECT_NEAR(us(Recompute::kSelective), 2 * 1 + 1, 1e-9);
}

// A group of two has both ranks' sequences; a chunk is the end of one prompt.
TEST(AttentionLoads, AreThoseOfTheGroup) {
  const BatchSpec batch{.tokens_per_rank = 512, .steps = 1, .context_tokens = 128};
  const AttentionLoad whole =
      attention_load(StepKind::kPrefill, batch, {.ep = 4, .tp = 2}, Dtype::kBf16);
  EXPECT_EQ(whole.sequences, 8);
  EXPECT_EQ(whole.new_tokens, 128);
  EXPECT_EQ(whole.tokens(), 1024);
  const BatchSpec chunk{.tokens_per_rank = 512, .steps = 1, .context_tokens = 4096};
  const AttentionLoad part = attention_load(StepKind::kPrefill, chunk, {.ep = 4}, Dtype::kBf16);
  EXPECT_EQ(part.sequences, 1);
  EXPECT_EQ(part.new_tokens, 512);
  EXPECT_EQ(part.context, 4096);
  EXPECT_EQ(attention_load(StepKind::kDecode, batch, {.ep = 4}, Dtype::kBf16).tokens(), 512);
}

// Half of width 4 over 10 tokens is a shared expert of width 2.
TEST(DenseFfn, IsDividedByTensorParallelism) {
  ModelShape m;
  m.hidden_size = 8;
  m.dense_width = 4;
  ModelShape shared = m;
  shared.shared_experts = 1;
  shared.shared_expert_width = 2;
  EXPECT_EQ(dense_ffn_time(toy(), m, 2, 10).value, shared_expert_time(toy(), shared, 10).value);
  m.dense_width = 0;
  EXPECT_EQ(dense_ffn_time(toy(), m, 2, 10).value, 0);
}

// Norm 4 * 10 * 8 * 2 = 640 B; half of a vocabulary of 100: weights 8 * 50 * 2, rows in 160, out
// 1,000 = 1,960 B.
TEST(Head, ReadsItsShareOfTheTable) {
  ModelShape m;
  m.hidden_size = 8;
  m.vocabulary = 100;
  EXPECT_NEAR(head_time(toy(1e30), m, 2, 10).value, 2.6 * kNano, kTolerance);
}

// The core at half of the peak for prompts, a quarter backwards and a fifth in decoding, where the
// cache is read at a tenth of the bandwidth; 768 flops of a peak of 2 Tflop/s, 32,000 and 16,320 B.
TEST(AttentionKernelConstants, AreOfTheCoreAlone) {
  ComputeModel c = toy();
  c.constants.attention = {.prefill_efficiency = 0.25,
                           .backward_efficiency = 0.125,
                           .decode_efficiency = 0.2,
                           .decode_memory_efficiency = 0.1};
  EXPECT_NEAR(core(c, gqa(), prefill()), 2 * 0.768 * kNano, kTolerance);
  EXPECT_NEAR(core(c, gqa(), decode()), 16.32 / 0.2 * kNano, kTolerance);
  c.constants.attention.decode_memory_efficiency = 0.5;
  EXPECT_NEAR(core(c, gqa(), decode()), 32.0 / 0.4 * kNano, kTolerance);
  ModelShape m;
  m.hidden_size = 8;
  m.attention = gqa();
  EXPECT_NEAR(
      attention_backward_time(c, m, prefill(), Recompute::kNone).value,
      2 * (attention_time(c, m, prefill()).value - 2 * 0.768 * kNano) + 2.5 * 4 * 0.768 * kNano,
      kTolerance);
}

// Kernels that start in 1 us with bf16 and 3 us with fp8 weights, whatever the experts' do: 6 of
// attention (two GEMMs), 2 of the head, 3 of a dense layer.
TEST(DenseKernelConstants, GoWithTheFormatOfTheWeights) {
  ComputeModel c = toy(1e30, 1e30);
  c.constants.kernel_launch = microseconds(100);
  c.constants.dense_bf16.kernel_launch = microseconds(1);
  c.constants.dense_fp8.kernel_launch = microseconds(3);
  ModelShape m;
  m.hidden_size = 8;
  m.dense_width = 16;
  m.vocabulary = 32;
  m.attention = gqa();
  const auto us = [](Seconds time) { return time.value * 1e6; };
  EXPECT_NEAR(us(attention_time(c, m, decode())), 6, 1e-9);
  EXPECT_NEAR(us(dense_ffn_time(c, m, 1, 10)), 3, 1e-9);
  EXPECT_NEAR(us(head_time(c, m, 1, 10)), 2, 1e-9);
  m.dense_dtype = Dtype::kFp8;
  EXPECT_NEAR(us(attention_time(c, m, decode())), 6 + 2 * 2 + 2 * 1, 1e-9);
  EXPECT_NEAR(us(dense_ffn_time(c, m, 1, 10)), 9, 1e-9);
  EXPECT_NEAR(us(head_time(c, m, 1, 10)), 2, 1e-9);
}

// A GEMM of one tile of 128 x 128: 5 rows, 16 and 8 columns of 8, at a quarter of the 2 Tflop/s
// instead of half. Of 4 multiprocessors one works.
TEST(DenseKernelConstants, GiveTheGemmsTheirRate) {
  ComputeModel c = toy(2e12, 1e30);
  ModelShape m;
  m.hidden_size = 8;
  m.attention = gqa();
  const double norms_free = attention_tokens_time(c, m, 5).value;
  c.constants.dense_bf16.gemm_efficiency = 0.25;
  c.constants.dense_bf16.gemm_overlap = 1;
  c.constants.dense_bf16.tile_fetch_share = 1;
  EXPECT_NEAR(attention_tokens_time(c, m, 5).value, 2 * norms_free, kTolerance);
}

// Without core (0.768 ns), norms and rotation (2 * 6 * 16 * 2 B) the projections are left; none
// without attention.
TEST(AttentionWeights, TakeTheTimeOfTheGemms) {
  ModelShape m;
  m.hidden_size = 8;
  m.attention = gqa();
  const ComputeModel c = toy();
  const double norms = 2 * 4 * 6 * 8 * 2 / 1e12;
  EXPECT_NEAR(attention_weights_time(c, m, prefill()).value,
              attention_time(c, m, prefill()).value - 0.768 * kNano - norms - 384 / 1e12,
              kTolerance);
  m.attention = {.kind = AttentionKind::kNone};
  EXPECT_EQ(attention_weights_time(c, m, prefill()).value, 0);
}

// 16 B of each of 10 * 32 / 2 logits.
TEST(CrossEntropy, PassesOverTheLogits) {
  ModelShape m;
  m.vocabulary = 32;
  EXPECT_NEAR(cross_entropy_time(toy(), m, 2, 10).value, 16 * 160 / 1e12, kTolerance);
}

}  // namespace
}  // namespace moesim
