// SPDX-License-Identifier: Apache-2.0
// Memory bills by hand. The toy: hidden 4, one dense layer of width 8 and two MoE layers of 8
// experts of width 3, top-2, vocabulary 10, 4 query and 2 key heads of 2; 4 ranks with 2 experts
// each, two of which share attention.
#include "sim/step/memory.hpp"

#include <gtest/gtest.h>

namespace moesim {
namespace {

MemoryModel toy(StepKind kind) {
  MemoryModel m;
  m.model.hidden_size = 4;
  m.model.layers = 3;
  m.model.moe_layers = 2;
  m.model.first_moe_layer = 1;
  m.model.num_experts = 8;
  m.model.top_k = 2;
  m.model.expert_width = 3;
  m.model.dense_width = 8;
  m.model.vocabulary = 10;
  m.model.attention = {.kind = AttentionKind::kGqa, .heads = 4, .kv_heads = 2, .head_dim = 2};
  m.parallel = {.ep = 4, .tp = 2};
  m.kind = kind;
  m.batch.tokens_per_rank = 5;
  m.batch.context_tokens = 100;
  m.slots_per_rank = 2;
  m.capacity = bytes(1e6);
  return m;
}

MemoryModel toy_training() {
  MemoryModel m = toy(StepKind::kTrain);
  m.parallel.dp = 2;
  m.batch.tokens_per_rank = 6;
  m.batch.context_tokens = 3;
  return m;
}

double part(const MemoryModel& m, MemoryPart which, int stage = 0) {
  return memory_bill(m, stage).of(which).value;
}

AttentionShape deepseek_v3() {
  return {.kind = AttentionKind::kMla,
          .heads = 128,
          .head_dim = 128,
          .q_lora_rank = 1536,
          .kv_lora_rank = 512,
          .rope_dim = 64,
          .nope_dim = 128};
}

// Published in "Insights into DeepSeek-V3" (arXiv 2505.09343), table 1, BF16: DeepSeek-V3 70.272 KB
// a token, 61 * 576 * 2; LLaMA-3.1 405B 516.096 KB, 126 layers * 2 * 8 heads of 128 * 2.
TEST(KvCache, IsWhatIsPublished) {
  EXPECT_EQ(61 * kv_elements(deepseek_v3()) * 2, 70'272);
  const AttentionShape llama = {
      .kind = AttentionKind::kGqa, .heads = 128, .kv_heads = 8, .head_dim = 128};
  EXPECT_EQ(126 * kv_elements(llama) * 2, 516'096);
}

TEST(MemoryBill, AddsUpByHand) {
  MemoryModel m = toy(StepKind::kDecode);
  m.memory.reserved = bytes(1000);
  // 2 slots * 2 layers * 3*4*3 parameters * 2 B
  EXPECT_EQ(part(m, MemoryPart::kExperts), 288);
  EXPECT_EQ(part(m, MemoryPart::kSharedExperts), 0);
  // half the heads: (2*4*4 + 2*4*2) * 3 layers * 2 B
  EXPECT_EQ(part(m, MemoryPart::kAttention), 288);
  // 3*4*8 / 2 * 2 B
  EXPECT_EQ(part(m, MemoryPart::kDenseLayers), 96);
  // two tables of 10*4, half of each, 2 B
  EXPECT_EQ(part(m, MemoryPart::kEmbeddings), 80);
  // 3 layers * two norms of 4, two gates of 4*8, the last norm: 92 * 2 B
  EXPECT_EQ(part(m, MemoryPart::kGatesAndNorms), 184);
  // 5 sequences of each of two ranks * 100 tokens * one key and one value head of 2 * 3 layers * 2
  // B
  EXPECT_EQ(part(m, MemoryPart::kKvCache), 24'000);
  // MoE: 5 * (4 + 2 * (2*4 + 3*3)) = 190 is more than attention, 10 * (4 + 12), and dense,
  // 10 * (4 + 12); with 10 rows of 4 in the residual stream 230 * 2 B
  EXPECT_EQ(part(m, MemoryPart::kActivations), 460);
  // 2 * 5 tokens * 2 copies * (8 B + 8 B)
  EXPECT_EQ(part(m, MemoryPart::kCommunication), 320);
  EXPECT_EQ(memory_bill(m, 0).total().value, 288 + 288 + 96 + 80 + 184 + 24'000 + 460 + 320 + 1000);
}

// The latent does not divide: a rank of two holds that of both ranks' sequences.
TEST(MemoryBill, LatentAttentionPaysForTensorParallelism) {
  MemoryModel m = toy(StepKind::kDecode);
  m.model.attention = {.kind = AttentionKind::kMla,
                       .heads = 4,
                       .head_dim = 2,
                       .kv_lora_rank = 3,
                       .rope_dim = 1,
                       .nope_dim = 2};
  EXPECT_EQ(part(m, MemoryPart::kKvCache), 10 * 100 * 4 * 3 * 2);
  m.parallel.tp = 1;
  EXPECT_EQ(part(m, MemoryPart::kKvCache), 5 * 100 * 4 * 3 * 2);
}

// 256 vocabulary rows: 5 * 256 * 4 B of logits are more than the 460 B of the MoE layer.
TEST(MemoryBill, LogitsMayBeTheLargestActivation) {
  MemoryModel m = toy(StepKind::kDecode);
  m.model.vocabulary = 256;
  EXPECT_EQ(part(m, MemoryPart::kActivations), 5'120);
}

TEST(MemoryBill, StoresWeightsAndCacheInTheirFormats) {
  MemoryModel m = toy(StepKind::kDecode);
  m.model.weight_dtype = Dtype::kMxfp4;
  m.memory.kv_dtype = Dtype::kFp8;
  EXPECT_DOUBLE_EQ(part(m, MemoryPart::kExperts), 144 * 4.25 / 8);
  EXPECT_EQ(part(m, MemoryPart::kKvCache), 12'000);
  EXPECT_EQ(part(m, MemoryPart::kAttention), 288);
}

// One layer a stage; the input table lies on the first stage, the output table and the last norm on
// the last, a tied table on both.
TEST(MemoryBill, IsOfAStage) {
  MemoryModel m = toy(StepKind::kDecode);
  m.parallel.pp = 3;
  EXPECT_EQ(part(m, MemoryPart::kExperts, 0), 0);
  EXPECT_EQ(part(m, MemoryPart::kExperts, 2), 144);
  EXPECT_EQ(part(m, MemoryPart::kDenseLayers, 0), 96);
  EXPECT_EQ(part(m, MemoryPart::kDenseLayers, 1), 0);
  EXPECT_EQ(part(m, MemoryPart::kEmbeddings, 0), 40);
  EXPECT_EQ(part(m, MemoryPart::kEmbeddings, 1), 0);
  EXPECT_EQ(part(m, MemoryPart::kEmbeddings, 2), 40);
  EXPECT_EQ(part(m, MemoryPart::kKvCache, 1), 8'000);
  m.model.tied_embeddings = true;
  EXPECT_EQ(part(m, MemoryPart::kEmbeddings, 0), 40);
  EXPECT_EQ(part(m, MemoryPart::kEmbeddings, 2), 40);
  EXPECT_EQ(largest_bill(m).stage, 2);
}

// DeepEP's size hint for 128 tokens, hidden 7168, 256 experts: a message of the combine is
// 14336 + 224 = 14,560 B; 2 * (2 * 256 * 128 * 14,560 + 1024).
TEST(Communication, LowLatencyBuffersAreThoseOfDeepEp) {
  MemoryModel m = toy(StepKind::kDecode);
  m.model.hidden_size = 7168;
  m.model.num_experts = 256;
  m.batch.tokens_per_rank = 128;
  m.dispatcher = DispatcherKind::kLowLatency;
  EXPECT_EQ(communication_bytes(m).value, 1'908'410'368.0);
  m.model.moe_layers = 0;
  EXPECT_EQ(communication_bytes(m).value, 0);
}

// 144 parameters of experts on 2 ranks each; attention 144, dense 48, tables 40, gates and norms 92
// are 324 others on 2 * 4 / 2 ranks each.
TEST(Training, ZeroStagesDivideStateByState) {
  MemoryModel m = toy_training();
  const StageParameters p = stage_parameters(m, 0);
  EXPECT_EQ(p.experts, 144);
  EXPECT_EQ(p.others, 324);
  EXPECT_EQ(training_state(m, 0).optimiser.value, 12 * 468);
  EXPECT_EQ(training_state(m, 0).gradients.value, 4 * 468);
  m.memory.zero_stage = 1;
  EXPECT_EQ(training_state(m, 0).optimiser.value, 12 * (72 + 81));
  EXPECT_EQ(training_state(m, 0).gradients.value, 4 * 468);
  m.memory.zero_stage = 2;
  m.memory.gradient_dtype = Dtype::kBf16;
  EXPECT_EQ(training_state(m, 0).gradients.value, 2 * (72 + 81));
  EXPECT_EQ(part(m, MemoryPart::kExperts), 288);
  m.memory.zero_stage = 3;
  EXPECT_EQ(part(m, MemoryPart::kExperts), 144);
  EXPECT_EQ(part(m, MemoryPart::kAttention), 72);
  EXPECT_EQ(part(m, MemoryPart::kKvCache), 0);
}

// Elements a token: attention 2*4 + 2 * 12 = 32, dense 32 + 8 + 24 = 64, MoE 32 + 8 + 34 = 74. Six
// tokens, logits and their gradient 2 * 6 * 10 * 4 B.
TEST(Training, KeepsActivationsOfEveryLayer) {
  MemoryModel m = toy_training();
  EXPECT_EQ(activation_bytes(m, 0).value, 6 * (64 + 2 * 74) * 2 + 480);
  m.memory.recompute = Recompute::kFull;
  EXPECT_EQ(activation_bytes(m, 0).value, 6 * (3 * 4 + 74) * 2 + 480);
}

// Three stages, two micro-batches: two in flight on the first and the second, one on the last.
TEST(Training, OneForwardOneBackwardKeepsMicroBatchesInFlight) {
  MemoryModel m = toy_training();
  m.parallel.pp = 3;
  m.batch.micro_batches = 2;
  EXPECT_EQ(activation_bytes(m, 0).value, 6 * 64 * 2 * 2);
  EXPECT_EQ(activation_bytes(m, 1).value, 6 * 74 * 2 * 2);
  EXPECT_EQ(activation_bytes(m, 2).value, 6 * 74 * 2 + 480);
}

// Pairs of passes need 2 (pp - stage) micro-batches under way.
TEST(Training, DualPipeKeepsTwiceAsManyMicroBatches) {
  MemoryModel m = toy_training();
  m.parallel.pp = 3;
  m.batch.micro_batches = 2;
  m.overlap = Overlap::kDualPipe;
  EXPECT_EQ(activation_bytes(m, 2).value, 6 * 74 * 2 * 2 + 480);
  m.batch.micro_batches = 100;
  EXPECT_EQ(activation_bytes(m, 0).value, 6 * 64 * 2 * 6);
}

// Layers 0 and 2 on stage 0, 1 and 3 on stage 1, each time one of them, 64 or 74 elements: 4 of 4
// passes on the first stage (2 * 1 + 2 + 1 would be 5), 3 on the last, half of a stage's layers
// each.
TEST(Training, InterleavedStagesKeepPartsInFlight) {
  MemoryModel m = toy_training();
  m.model.layers = 4;
  m.parallel.pp = 2;
  m.parallel.virtual_stages = 2;
  m.batch.micro_batches = 2;
  EXPECT_EQ(activation_bytes(m, 0).value, 6 * (64 + 74) * 2 * 2);
  EXPECT_EQ(activation_bytes(m, 1).value, 6 * (64 + 74) * 1.5 * 2 + 480);
}

// Bytes a token: attention (4 + 24) * 2; dense 4 * 2 and 2 * 8 widths of 2 B; MoE 4 * 2 and 2 * (4
// + 2 * 3) of 2 B, or 1 B where the GEMMs are in fp8. Of mla the latents 3 + 4 and the output 8
// instead of 24 elements.
TEST(Training, SelectiveRecomputationKeepsLess) {
  MemoryModel m = toy_training();
  m.memory.recompute = Recompute::kSelective;
  EXPECT_EQ(activation_bytes(m, 0).value, 6 * (96 + 2 * 104) + 480);
  m.model.weight_dtype = Dtype::kFp8;
  EXPECT_EQ(activation_bytes(m, 0).value, 6 * (96 + 2 * 84) + 480);
  m.model.attention = {.kind = AttentionKind::kMla,
                       .heads = 4,
                       .head_dim = 2,
                       .q_lora_rank = 3,
                       .kv_lora_rank = 3,
                       .rope_dim = 1,
                       .nope_dim = 2};
  EXPECT_EQ(activation_bytes(m, 0).value, 6 * (96 + 2 * 84 - 3 * 2 * (24 - 15)) + 480);
}

TEST(Sequences, ComeWholeOrAsOneChunk) {
  BatchSpec batch{.tokens_per_rank = 512, .steps = 1, .context_tokens = 128};
  EXPECT_EQ(sequences_per_rank(StepKind::kDecode, batch), 512);
  EXPECT_EQ(sequences_per_rank(StepKind::kPrefill, batch), 4);
  batch.context_tokens = 4096;
  EXPECT_EQ(sequences_per_rank(StepKind::kPrefill, batch), 1);
}

TEST(Fitting, FindsTheLastBatchAndContextThatFit) {
  for (const StepKind kind : {StepKind::kDecode, StepKind::kPrefill, StepKind::kTrain}) {
    MemoryModel m = toy(kind);
    const std::int64_t unit = kind == StepKind::kDecode ? 1 : m.batch.context_tokens;
    const auto tokens = most_tokens_per_rank(m);
    ASSERT_TRUE(tokens.has_value());
    m.batch.tokens_per_rank = static_cast<int>(*tokens);
    EXPECT_TRUE(fits(m));
    m.batch.tokens_per_rank = static_cast<int>(*tokens + unit);
    EXPECT_FALSE(fits(m));

    m = toy(kind);
    const auto context = most_context_tokens(m);
    ASSERT_TRUE(context.has_value());
    const auto set = [&](std::int64_t value) {
      m.batch.context_tokens = static_cast<int>(value);
      if (kind != StepKind::kDecode) {
        m.batch.tokens_per_rank = static_cast<int>(value);
      }
    };
    set(*context);
    EXPECT_TRUE(fits(m));
    set(*context + 1);
    EXPECT_FALSE(fits(m));
  }
}

TEST(Fitting, SaysThatNothingFits) {
  MemoryModel m = toy(StepKind::kDecode);
  m.capacity = bytes(100);
  EXPECT_EQ(most_tokens_per_rank(m), std::nullopt);
  EXPECT_EQ(most_context_tokens(m), std::nullopt);
}

// 671 GB of weights: 32 experts a rank of 58 layers are 81.7 GB in fp8, more than 80 GB, but not
// more than the 141 GB of an H200, on eight of which it is served.
TEST(MemoryBill, DeepSeekV3OnEightGpusNeedsMoreThanEightyGigabytes) {
  MemoryModel m = toy(StepKind::kDecode);
  ModelShape& v3 = m.model;
  v3.hidden_size = 7168;
  v3.layers = 61;
  v3.moe_layers = 58;
  v3.first_moe_layer = 3;
  v3.num_experts = 256;
  v3.top_k = 8;
  v3.shared_experts = 1;
  v3.expert_width = v3.shared_expert_width = 2048;
  v3.dense_width = 18432;
  v3.vocabulary = 129280;
  v3.weight_dtype = v3.dense_dtype = v3.dispatch_dtype = Dtype::kFp8;
  v3.attention = deepseek_v3();
  m.parallel = {.ep = 8};
  m.slots_per_rank = 32;
  m.batch.tokens_per_rank = 32;
  m.batch.context_tokens = 4096;
  EXPECT_NEAR(part(m, MemoryPart::kExperts), 81.76e9, 0.01e9);
  m.capacity = gigabytes(80);
  EXPECT_FALSE(fits(m));
  m.capacity = gigabytes(141);
  EXPECT_TRUE(fits(m));
}

// 4 stages of a layer: the first holds the parts of the first and the last one, of which 4 and 1
// micro-batches are kept; gradients of both, the optimiser's states over twice the copies.
TEST(DualPipeBill, HoldsTwoPartsOfTheModel) {
  MemoryModel one_way = toy_training();
  one_way.model.layers = 4;
  one_way.model.moe_layers = 3;
  one_way.parallel = {.ep = 4, .tp = 2, .pp = 4, .dp = 2};
  one_way.batch.micro_batches = 8;
  one_way.overlap = Overlap::kDualPipe;
  one_way.memory.zero_stage = 1;
  MemoryModel both = one_way;
  both.schedule = Schedule::kDualPipe;
  for (int stage = 0; stage < 4; ++stage) {
    for (const MemoryPart which : {MemoryPart::kExperts,
                                   MemoryPart::kAttention,
                                   MemoryPart::kDenseLayers,
                                   MemoryPart::kEmbeddings,
                                   MemoryPart::kGatesAndNorms,
                                   MemoryPart::kGradients}) {
      EXPECT_EQ(part(both, which, stage),
                part(one_way, which, stage) + part(one_way, which, 3 - stage));
    }
    EXPECT_EQ(part(both, MemoryPart::kOptimiser, stage),
              (part(one_way, MemoryPart::kOptimiser, stage) +
               part(one_way, MemoryPart::kOptimiser, 3 - stage)) /
                  2);
  }
  one_way.overlap = Overlap::kNone;
  one_way.batch.micro_batches = 1;  // one pass of every stage
  const double logits = 2 * 6 * 10 * 4;
  const double first = activation_bytes(one_way, 0).value;
  const double last = activation_bytes(one_way, 3).value - logits;
  EXPECT_EQ(activation_bytes(both, 0).value, 4 * first + last + logits);
  EXPECT_EQ(activation_bytes(both, 3).value, 4 * first + last + logits);
  EXPECT_EQ(activation_bytes(both, 1).value,
            3 * activation_bytes(one_way, 1).value + 2 * activation_bytes(one_way, 2).value);
}

}  // namespace
}  // namespace moesim
