// SPDX-License-Identifier: Apache-2.0
// Dumps of engines: fixtures written here in each engine's form, read back number by number, and
// what is refused.
#include <gmock/gmock-matchers.h>

#include "tests/moe/traces/import_fixture.hpp"

namespace moesim::traces {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

// --- Megatron-Core and plain records ---------------------------------------------------------

std::string megatron(int step, int layer, int rank, const std::string& indices, int tokens = 2) {
  return "{\"step\": " + std::to_string(step) +
         ", \"stage\": \"pre_dispatch\", \"block\": \"decoder\", \"layer\": " +
         std::to_string(layer) + ", \"rank\": " + std::to_string(rank) +
         ", \"num_tokens\": " + std::to_string(tokens) +
         ", \"topk\": 2, \"top_indices\": " + indices + "}\n";
}

TEST_F(Import, MegatronRecordsBecomeASequenceForEveryStepAndRank) {
  fs::create_directory(dir_ / "dump");
  write("dump/router_trace_rank0.jsonl",
        megatron(0, 4, 0, "[[0, 1], [2, 3]]") + megatron(0, 3, 0, "[[4, 5], [6, 7]]") +
            megatron(1, 3, 0, "[[1, 0]]", 1) + megatron(1, 4, 0, "[[7, 6]]", 1));
  write("dump/router_trace_rank10.jsonl",
        megatron(0, 3, 10, "[[0, 2], [1, 3]]") + megatron(0, 4, 10, "[[5, 7], [4, 6]]"));
  const ImportReport report = run("dump");
  EXPECT_EQ(report.form, "Megatron router trace");
  EXPECT_EQ(report.tokens, 5);
  const RoutePack read = pack();
  EXPECT_EQ(read.header.first_moe_layer, 3);
  EXPECT_EQ(read.header.layers, 2);
  EXPECT_EQ(read.header.top_k, 2);
  EXPECT_THAT(layer_ids(*read.topk, 0), ElementsAre(4, 5, 6, 7, 1, 0, 0, 2, 1, 3));
  EXPECT_THAT(layer_ids(*read.topk, 1), ElementsAre(0, 1, 2, 3, 7, 6, 5, 7, 4, 6));
  ASSERT_EQ(read.sequences.size(), 3U);
  EXPECT_EQ(read.sequences[1].source, "step 1, rank 0");
  EXPECT_EQ(read.sequences[2].source, "step 0, rank 10");
}

TEST_F(Import, ARankThatRepeatsAnotherIsLeftOut) {
  fs::create_directory(dir_ / "dump");
  write("dump/router_trace_rank0.jsonl", megatron(0, 0, 0, "[[0, 1], [2, 3]]"));
  write("dump/router_trace_rank1.jsonl", megatron(0, 0, 1, "[[0, 1], [2, 3]]"));
  const ImportReport report = run("dump");
  EXPECT_EQ(report.tokens, 2);
  EXPECT_THAT(report.dropped,
              ElementsAre("1 ranks' steps that repeat another rank's tokens, as tensor-parallel "
                          "ranks log them"));
}

TEST_F(Import, LayersOfMultiTokenPredictionAreLeftOut) {
  write(
      "x.jsonl",
      megatron(0, 0, 0, "[[0, 1], [2, 3]]") +
          "{\"step\": 0, \"layer\": 0, \"rank\": 0, \"mtp_idx\": 0, \"top_indices\": [[4, 5]]}\n");
  EXPECT_THAT(run("x.jsonl").dropped, ElementsAre("1 records of multi-token prediction layers"));
}

TEST_F(Import, PlainRecordsHoldATokenOfALayerEach) {
  write("x.jsonl",
        "{\"request_id\": \"a\", \"layer\": 0, \"topk\": [0, 1]}\n"
        "{\"request_id\": \"a\", \"layer\": 1, \"topk\": [2, 3]}\n"
        "{\"request_id\": 7, \"layer\": 0, \"topk_experts\": [4, 5]}\n"
        "{\"request_id\": 7, \"layer\": 1, \"topk_experts\": [6, 7]}\n");
  EXPECT_EQ(run("x.jsonl").form, "JSON lines by layer");
  const RoutePack read = pack();
  EXPECT_THAT(layer_ids(*read.topk, 0), ElementsAre(0, 1, 4, 5));
  EXPECT_THAT(layer_ids(*read.topk, 1), ElementsAre(2, 3, 6, 7));
  EXPECT_EQ(read.sequences[0].source, "a");
  EXPECT_EQ(read.sequences[1].source, "7");
}

TEST_F(Import, RefusesRecordsThatDoNotFit) {
  const auto refused = [&](const std::string& text) {
    write("x.jsonl", text);
    return refusal("x.jsonl");
  };
  const std::string first = megatron(0, 0, 0, "[[0, 1], [2, 3]]");
  EXPECT_EQ(refused(first + "nonsense\n"), "x.jsonl:2:1: error: not a JSON object");
  EXPECT_EQ(refused(first + megatron(0, 1, 0, "[[0, 1], [2]]")),
            "x.jsonl:2:1: error: top_indices: expected a list of 2 experts");
  EXPECT_EQ(refused(first + megatron(0, 1, 0, "[[0, 1], [2, 0.5]]")),
            "x.jsonl:2:1: error: top_indices: expected a whole number up to 2147483647");
  EXPECT_EQ(refused(first + megatron(0, 1, 0, "[[0, 1]]")),
            "x.jsonl:2:1: error: num_tokens: 2; top_indices has 1");
  EXPECT_EQ(refused("{\"step\": 0, \"layer\": 0, \"top_indices\": [[0, 1]]}\n"),
            "x.jsonl:1:1: error: no \"rank\"");
  EXPECT_EQ(refused(megatron(0, 2'000'000, 0, "[[0, 1], [2, 3]]")),
            "x.jsonl:1:1: error: layer: 2000000; expected 0 to 1000000");
  EXPECT_EQ(refused("{\"topk\": 2}\n"),
            "x.jsonl: error: no records with top_indices, topk or topk_experts");
  EXPECT_EQ(refused(first + megatron(1, 1, 0, "[[0, 1], [2, 3]]")),
            "x.jsonl: error: step 1, rank 0: layer 1 has 2 tokens; expected the layers of the "
            "first sequence (1 of them from 0), each with the same tokens (import pipeline stages "
            "one by one)");
  options_.experts.reset();
  EXPECT_EQ(refused(first), "x.jsonl: error: experts is needed as the file does not say it");
}

TEST_F(Import, RefusesALineThatNobodyParses) {
  for (const char* start : {"{\"topk\": [", "{\"routing\": ["}) {
    write("x.jsonl", start);
    fs::resize_file(dir_ / "x.jsonl", 68'000'000);
    EXPECT_EQ(refusal("x.jsonl"), "x.jsonl:1:1: error: more than 67108864 bytes in a line");
  }
}

// --- TensorRT-LLM ----------------------------------------------------------------------------

std::string safetensors(const std::string& header, const std::vector<std::int64_t>& numbers) {
  std::string text = raw(std::uint64_t{header.size()}) + header;
  for (const std::int64_t number : numbers) {
    text += raw(number);
  }
  return text;
}

std::string tensor(const std::string& name, int begin, const std::string& shape = "[3]") {
  return "\"" + name + R"(": {"dtype": "I64", "shape": )" + shape + R"(, "data_offsets": [)" +
         std::to_string(begin) + ", " + std::to_string(begin + 24) + "]}";
}

class Statistic : public Import {
 protected:
  Statistic() {
    options_.experts.reset();
    fs::create_directory(dir_ / "dump");
    write("dump/meta_info.json", R"({"num_experts": 3, "num_experts_per_token": 1})");
  }
};

TEST_F(Statistic, RanksAreAddedUp) {
  const std::string header =
      R"({"__metadata__": {"format": "pt"}, )" + tensor("10_3", 0) + ", " + tensor("9_3", 24) + "}";
  write("dump/rank0.safetensors", safetensors(header, {1, 2, 3, 4, 5, 6}));
  write("dump/rank1.safetensors", safetensors(header, {10, 20, 30, 40, 50, 60}));
  const ImportReport report = run("dump");
  EXPECT_EQ(report.form, "TensorRT-LLM expert statistic");
  EXPECT_EQ(report.steps, 2);
  const RoutePack read = pack();
  EXPECT_EQ(read.header.first_moe_layer, 3);
  EXPECT_EQ(read.header.top_k, 1);
  EXPECT_THAT(step_counts(read, 0, 0), ElementsAre(44, 55, 66));  // iteration 9 before 10
  EXPECT_THAT(step_counts(read, 1, 0), ElementsAre(11, 22, 33));
}

TEST_F(Statistic, ARankThatRepeatsAnotherIsLeftOut) {
  const std::string text = safetensors("{" + tensor("0_0", 0) + "}", {1, 2, 3});
  write("dump/rank0.safetensors", text);
  write("dump/rank1.safetensors", text);
  EXPECT_THAT(run("dump").dropped,
              ElementsAre("rank1.safetensors: it repeats another rank's counts, as "
                          "tensor-parallel ranks log them"));
  EXPECT_THAT(step_counts(pack(), 0, 0), ElementsAre(1, 2, 3));
}

// Rank 0, iteration 4: two tokens in layers 2 and 3; rank 1: one. I64 numbers, top_k 1.
TEST_F(Statistic, ExpertsOfTokensAreReadWhereTheyAreAskedForOrAlone) {
  const auto ids = [](const char* tokens, int bytes) {
    return R"({"4_3": {"dtype": "I64", "shape": [)" + std::string(tokens) +
           R"(, 1], "data_offsets": [0, )" + std::to_string(bytes) +
           R"(]}, "4_2": {"dtype": "I64", "shape": [)" + tokens + R"(, 1], "data_offsets": [)" +
           std::to_string(bytes) + ", " + std::to_string(2 * bytes) + "]}}";
  };
  write("dump/rank0_raw.safetensors", safetensors(ids("2", 16), {0, 1, 2, 0}));
  write("dump/rank1_raw.safetensors", safetensors(ids("1", 8), {2, 1}));
  const ImportReport report = run("dump");
  EXPECT_EQ(report.form, "TensorRT-LLM experts of tokens");
  EXPECT_EQ(report.tokens, 3);
  EXPECT_EQ(pack().header.first_moe_layer, 2);
  EXPECT_THAT(layer_ids(*pack().topk, 0), ElementsAre(2, 0, 1));
  EXPECT_THAT(layer_ids(*pack().topk, 1), ElementsAre(0, 1, 2));
  EXPECT_EQ(pack().sequences[1].source, "iteration 4, rank 1");
  options_.overwrite = true;
  write("dump/rank0.safetensors", safetensors("{" + tensor("4_2", 0) + "}", {1, 1, 1}));
  EXPECT_THAT(run("dump").dropped,
              ElementsAre("the experts of single tokens in rank<r>_raw.safetensors; --kind ids "
                          "reads them"));
  options_.kind = ArrayKind::kIds;
  EXPECT_EQ(run("dump").tokens, 3);
  // Physical slots of a balanced layer are not experts.
  fs::remove_all(dir_ / "p");
  write("dump/rank1_raw.safetensors", safetensors(ids("1", 8), {5, 1}));
  EXPECT_EQ(refusal("dump"),
            "dump: error: 1 expert ids outside 0 to 2, first 5 at token 2, layer 1, slot 0; ids up "
            "to 5 look like physical ids, map them to logical ones first");
}

TEST_F(Statistic, RefusesExpertsOfTokensThatDoNotFit) {
  const auto refused = [&](const std::string& text) {
    write("dump/rank0_raw.safetensors", text);
    return refusal("dump");
  };
  EXPECT_EQ(refused(safetensors("{" + tensor("0_0", 0) + "}", {1, 2, 0})),
            "dump/rank0_raw.safetensors: error: tensor \"0_0\": expected I32 or I64 experts of "
            "shape [tokens, 1], num_experts_per_token of meta_info.json");
  EXPECT_EQ(
      refused(safetensors(
          "{" + tensor("0_0", 0, "[3, 1]") + ", " + tensor("1_1", 0, "[3, 1]") + "}", {1, 2, 0})),
      "dump: error: iteration 0: layer 1 has not the tokens of layer 0");
  EXPECT_EQ(refused(safetensors("{}", {})), "dump: error: no rank<r>_raw.safetensors with tokens");
}

TEST_F(Statistic, RefusesWhatDoesNotFit) {
  const auto refused = [&](const std::string& text) {
    write("dump/rank0.safetensors", text);
    return refusal("dump");
  };
  const std::string at = "dump/rank0.safetensors: error: ";
  EXPECT_EQ(refused("abc"), at + "not a safetensors file, or truncated");
  EXPECT_EQ(refused(raw(~std::uint64_t{0})), at + "not a safetensors file, or truncated");
  EXPECT_EQ(refused(raw(std::uint64_t{3}) + "[1]"),
            at + "the safetensors header is no JSON object");
  EXPECT_EQ(refused(safetensors("{" + tensor("x", 0) + "}", {1, 2, 3})),
            at + "tensor \"x\"; expected names \"<iteration>_<layer>\"");
  EXPECT_EQ(refused(safetensors("{" + tensor("0_0", 0, "[4]") + "}", {1, 2, 3})),
            at + "tensor \"0_0\": expected I64 counts of shape [3], the experts of meta_info.json");
  EXPECT_EQ(refused(safetensors("{" + tensor("0_0", 0) + "}", {1, 2})),
            at + "tensor \"0_0\": its data_offsets do not fit its shape or the file");
  EXPECT_EQ(refused(safetensors("{" + tensor("0_0", 0) + "}", {1, -2, 3})),
            at + "tensor \"0_0\": count -2; expected 0 to 4294967295");
  EXPECT_EQ(refused(safetensors("{" + tensor("0_0", 0) + ", " + tensor("1_1", 0) + "}", {1, 2, 3})),
            "dump: error: some layers lack some iterations");
  EXPECT_EQ(refused(safetensors("{}", {})), "dump: error: no rank<r>.safetensors with counts");
  write("dump/meta_info.json", R"({"num_experts": 0})");
  EXPECT_EQ(refusal("dump"),
            "dump/meta_info.json: error: num_experts: expected a whole number from 1 to 65534");
  write("dump/meta_info.json", "3");
  EXPECT_EQ(refusal("dump"), "dump/meta_info.json: error: not a JSON object");
}

// --- MindIE ----------------------------------------------------------------------------------

TEST_F(Import, MindieRanksStandSideBySide) {
  options_.experts = 4;
  options_.top_k = 1;
  fs::create_directory(dir_ / "dump");
  write("dump/decode_0.csv", "1,2\n3,4\n");
  write("dump/decode_1.csv", "5.0, 6e0\r\n7,8\n");
  write("dump/prefill_0.csv", "1,1,1,1\n1,1,1,1\n");
  EXPECT_EQ(refusal("dump"),
            "dump: error: both prefill and decode loads; choose one with keep-phase");
  options_.keep_phase = "decode";
  const ImportReport report = run("dump");
  EXPECT_EQ(report.form, "MindIE expert loads");
  const RoutePack read = pack();
  EXPECT_EQ(read.header.phase, "decode");
  EXPECT_THAT(step_counts(read, 0, 0), ElementsAre(1, 2, 5, 6));
  EXPECT_THAT(step_counts(read, 0, 1), ElementsAre(3, 4, 7, 8));
}

TEST_F(Import, RefusesMindieTablesThatDoNotFit) {
  options_.experts = 2;
  options_.top_k = 1;
  fs::create_directory(dir_ / "dump");
  const auto refused = [&](const std::string& text) {
    write("dump/decode_0.csv", text);
    return refusal("dump");
  };
  EXPECT_EQ(refused("1,x\n"),
            "dump/decode_0.csv: error: line 1: \"x\"; expected whole counts up to 4294967295, a "
            "layer a line");
  EXPECT_EQ(refused("1,2\n1\n"),
            "dump/decode_0.csv: error: line 2: 1 counts, the first line has 2");
  EXPECT_EQ(refused(""), "dump/decode_0.csv: error: 0 layers, the first rank has 0");
  EXPECT_EQ(refused(std::string(2'097'089, '1') + "\n"),
            "dump/decode_0.csv: error: line 1: 2097089 bytes; expected at most 65534 counts");
  write("dump/decode_1.csv", "1,2\n");
  EXPECT_EQ(refused("1,2\n3,4\n"), "dump/decode_1.csv: error: 1 layers, the first rank has 2");
  fs::remove(dir_ / "dump/decode_1.csv");
  EXPECT_EQ(refused("1,2,3\n"),
            "dump: error: 3 experts over 1 ranks, 2 were given; more than the model has are "
            "physical slots, map them to logical experts first");
  options_.keep_phase = "prefill";
  EXPECT_EQ(refusal("dump"), "dump: error: no prefill_<rank>.csv");
  options_.keep_phase.clear();
  options_.top_k.reset();
  EXPECT_EQ(refused("1,2\n"),
            "dump: error: top_k is needed as counts do not say how many a token has");
}

TEST_F(Import, RefusesAFolderOfNoKnownForm) {
  fs::create_directory(dir_ / "dump");
  EXPECT_EQ(refusal("dump"),
            "dump: error: no known form of routing dump; expected meta_info.json with "
            "rank<r>.safetensors, router_trace_rank<r>.jsonl, or prefill_<rank>.csv and "
            "decode_<rank>.csv");
}

TEST_F(Statistic, DamageNeverCrashes) {
  const std::string whole = safetensors("{" + tensor("0_0", 0) + "}", {1, 2, 3});
  for (std::size_t i = 0; i < whole.size(); i += 3) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x7f);
    for (const std::string& text : {whole.substr(0, i), flipped}) {
      write("dump/rank0.safetensors", text);
      options_.overwrite = true;
      (void)user_error(dir_, [&] { (void)run("dump"); });
    }
  }
}

}  // namespace
}  // namespace moesim::traces
