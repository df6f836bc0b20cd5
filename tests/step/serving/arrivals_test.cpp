// SPDX-License-Identifier: Apache-2.0
#include "sim/step/serving/arrivals.hpp"

#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "sim/core/diagnostics.hpp"
#include "sim/step/serving/serve.hpp"

namespace moesim {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string mistake_of(ArrivalSource source, std::string_view text) {
  try {
    (void)parse_arrivals(source, "t", text);
  } catch (const UserError& error) {
    return error.what();
  }
  return "no mistake";
}

std::vector<double> flat(const std::vector<ArrivalRow>& rows) {
  std::vector<double> numbers;
  for (const ArrivalRow& row : rows) {
    numbers.insert(numbers.end(),
                   {row.time_s - rows.front().time_s,
                    static_cast<double>(row.prompt_tokens),
                    static_cast<double>(row.output_tokens),
                    static_cast<double>(row.line)});
  }
  return numbers;
}

// Over a month's end: 24 h less a tenth of a second.
TEST(ArrivalFiles, AzureStampsAreSeconds) {
  const std::vector<ArrivalRow> rows = parse_arrivals(ArrivalSource::kAzure,
                                                      "t",
                                                      "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                                                      "2024-02-29 23:59:59.6000000,374,44\r\n"
                                                      "2024-03-01T23:59:59.5+00:00,396,109\n");
  const std::vector<double> numbers = flat(rows);
  ASSERT_EQ(numbers.size(), 8U);
  EXPECT_NEAR(numbers[4], 86'399.9, 1e-6);
  EXPECT_EQ(numbers[5], 396);
  EXPECT_EQ(numbers[6], 109);
  EXPECT_EQ(numbers[7], 3);
}

TEST(ArrivalFiles, MooncakeStampsAreMilliseconds) {
  const std::vector<ArrivalRow> rows = parse_arrivals(
      ArrivalSource::kMooncake,
      "t",
      "{\"timestamp\": 500, \"input_length\": 7, \"output_length\": 5, \"hash_ids\": [0, 1]}\n"
      "\n"
      "{\"timestamp\": 3500, \"input_length\": 9, \"output_length\": 4}");
  EXPECT_THAT(flat(rows), testing::ElementsAre(0, 7, 5, 1, 3, 9, 4, 3));
}

TEST(ArrivalFiles, BurstGptAndTablesAreRead) {
  EXPECT_THAT(flat(parse_arrivals(ArrivalSource::kBurstGpt,
                                  "t",
                                  "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log "
                                  "Type\n5,ChatGPT,472,18,490,Conversation log\n"
                                  "45.5,ChatGPT,1087,230,1317,API log\n")),
              testing::ElementsAre(0, 472, 18, 2, 40.5, 1087, 230, 3));
  const std::vector<double> expected = {0, 3, 2, 2, 0.25, 5, 1, 3};
  EXPECT_EQ(
      flat(parse_arrivals(
          ArrivalSource::kTable, "t", "arrival_s,prompt_tokens,output_tokens\n1,3,2\n1.25,5,1\n")),
      expected);
  EXPECT_EQ(flat(parse_arrivals(ArrivalSource::kTable,
                                "t",
                                "\n{\"arrival_s\":1,\"prompt_tokens\":3,\"output_tokens\":2}\n"
                                "{\"arrival_s\":1.25,\"prompt_tokens\":5,\"output_tokens\":1}\n")),
            expected);
}

TEST(ArrivalFiles, SayWhereTheyAreWrong) {
  const std::string azure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
  EXPECT_EQ(mistake_of(ArrivalSource::kAzure, ""),
            "t: error: empty; expected a header line of column names");
  EXPECT_EQ(mistake_of(ArrivalSource::kAzure, azure), "t: error: no rows");
  EXPECT_EQ(mistake_of(ArrivalSource::kAzure, "TIMESTAMP,ContextTokens\n"),
            "t: error: no column \"GeneratedTokens\"; found: TIMESTAMP, ContextTokens");
  EXPECT_EQ(mistake_of(ArrivalSource::kAzure, azure + "yesterday,1,1\n"),
            "t:2:1: error: TIMESTAMP: \"yesterday\" is not a time such as 2023-11-16 18:15:46.68");
  EXPECT_EQ(mistake_of(ArrivalSource::kAzure, azure + "2023-11-16 18:15:46,-1,1\n"),
            "t:2:1: error: ContextTokens: -1 is not a whole number from 0 to 100000000");
  EXPECT_EQ(mistake_of(ArrivalSource::kAzure, azure + "2023-11-16 18:15:46,1,2.5\n"),
            "t:2:1: error: GeneratedTokens: 2.5 is not a whole number from 0 to 100000000");
  EXPECT_EQ(mistake_of(ArrivalSource::kAzure, azure + "2023-11-16 18:15:46,1,many\n"),
            "t:2:1: error: GeneratedTokens: \"many\" is not a number");
  EXPECT_EQ(mistake_of(ArrivalSource::kAzure, azure + "2023-11-16 18:15:46,1\n"),
            "t:2:1: error: 2 cells, the header has 3 columns");
  EXPECT_EQ(mistake_of(ArrivalSource::kMooncake, "{\"timestamp\": 0}\n"),
            "t:1:1: error: no key \"input_length\"");
  EXPECT_EQ(mistake_of(ArrivalSource::kMooncake, "{\"timestamp\": \"0\"}\n"),
            "t:1:1: error: timestamp: not a number");
  EXPECT_EQ(mistake_of(ArrivalSource::kMooncake, "\n[1"), "t:2:1: error: not a JSON object");
  EXPECT_EQ(mistake_of(ArrivalSource::kMooncake, " \n"), "t: error: no rows");
  const std::string row =
      "{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 1, \"hash_ids\": ";
  EXPECT_EQ(mistake_of(ArrivalSource::kMooncake, row + "7}\n"),
            "t:1:1: error: hash_ids: not a list");
  EXPECT_EQ(mistake_of(ArrivalSource::kMooncake, row + "[0.5]}\n"),
            "t:1:1: error: hash_ids: not a list of whole numbers");
  const std::string table = "arrival_s,prompt_tokens,output_tokens\n";
  EXPECT_EQ(mistake_of(ArrivalSource::kTable, table + "-1,1,1\n"),
            "t:2:1: error: arrival_s: -1 is not a time of 0 s or more");
  EXPECT_EQ(mistake_of(ArrivalSource::kTable, table + "nan,1,1\n"),
            "t:2:1: error: arrival_s: nan is not a time of 0 s or more");
  EXPECT_EQ(mistake_of(ArrivalSource::kTable, table + "0,1,1\n1e300,1,1\n"),
            "t:3:1: error: arrives 1e+300 s after line 2; at most 1e+07 s are served");
}

/// Whatever the bytes, a reader answers or says what is wrong.
RC_GTEST_PROP(ArrivalFiles, SurviveAnyBytes, (const std::string& text)) {
  for (const ArrivalSource source : {ArrivalSource::kAzure,
                                     ArrivalSource::kMooncake,
                                     ArrivalSource::kBurstGpt,
                                     ArrivalSource::kTable}) {
    for (const std::string& head : {std::string(),
                                    std::string("arrival_s,prompt_tokens,output_tokens\n"),
                                    std::string("{")}) {
      try {
        RC_ASSERT(!parse_arrivals(source, "t", head + text).empty());
      } catch (const UserError&) {
      }
    }
  }
}

class ArrivalWindow : public testing::Test {
 protected:
  ArrivalWindow() {
    spec.source = ArrivalSource::kTable;
    spec.path =
        (fs::temp_directory_path() / ("moesim_arrivals_" + std::to_string(::getpid()) + ".csv"))
            .string();
    std::ofstream(spec.path) << "arrival_s,prompt_tokens,output_tokens\n"
                                "30,3,3\n10,1,1\n20,2,2\n20,4,4\n25,0,7\n";
  }
  ~ArrivalWindow() override { fs::remove(spec.path); }
  RequestSpec spec;
};

TEST_F(ArrivalWindow, IsSortedFromTheFirstArrivalOn) {
  const Arrivals arrivals = read_arrivals(spec, 1);
  ASSERT_EQ(arrivals.requests.size(), 4U);
  EXPECT_EQ(arrivals.requests[1].prompt_tokens, 2);
  EXPECT_EQ(arrivals.requests[2].prompt_tokens, 4);
  EXPECT_EQ(arrivals.requests[3].arrival, seconds(20));
  EXPECT_EQ(arrivals.left_out, 1);
  EXPECT_EQ(arrivals.stamps, 3);
  EXPECT_THAT(arrivals.origin, HasSubstr(", 1 without prompt or output left out"));
}

TEST_F(ArrivalWindow, IsCutShiftedAndHurried) {
  spec.from = seconds(10);
  spec.to = seconds(20);
  spec.rate_scale = 2;
  const Arrivals arrivals = read_arrivals(spec, 1);
  ASSERT_EQ(arrivals.requests.size(), 2U);
  EXPECT_EQ(arrivals.requests[0].arrival, seconds(0));
  EXPECT_THAT(arrivals.origin, HasSubstr(", from 10 s to 20 s, 2 times as fast"));
  spec.spread = seconds(4);  // before it is hurried
  const Arrivals spread = read_arrivals(spec, 1);
  EXPECT_NE(spread.requests[0].arrival, spread.requests[1].arrival);
  EXPECT_LT(spread.requests[1].arrival, seconds(2));
  spec.from = seconds(50);
  spec.to = {};
  try {
    (void)read_arrivals(spec, 1);
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(error.what(),
              "error: requests.from: no request of " + spec.path +
                  " lies in the window: the trace lasts 20 s");
  }
}

// Gaps of rate 4: mean 1/4, CV 1; 40,000 of them, standard error of the mean 0.5 %. Lengths of
// sigma 1: standard error sqrt(e - 1) / 200 = 0.7 %.
TEST(PoissonArrivals, HaveTheirRateAndLengths) {
  RequestSpec spec;
  spec.rate = 4;
  spec.count = 40'000;
  spec.prompt_tokens = 1000;
  spec.prompt_sigma = 1;
  spec.output_tokens = 77;
  const std::vector<Request> requests = poisson_arrivals(spec, 5);
  ASSERT_EQ(requests.size(), 40'000U);
  EXPECT_EQ(requests[0].arrival, seconds(0));
  double sum = 0;
  double squares = 0;
  double prompts = 0;
  for (std::size_t i = 1; i < requests.size(); ++i) {
    const double gap = (requests[i].arrival - requests[i - 1].arrival).value;
    sum += gap;
    squares += gap * gap;
    prompts += static_cast<double>(requests[i].prompt_tokens);
    ASSERT_EQ(requests[i].output_tokens, 77);
  }
  const double n = 39'999;
  EXPECT_NEAR(sum / n, 0.25, 0.25 * 0.02);
  EXPECT_NEAR(squares / n / (sum / n * sum / n), 2, 0.06);
  EXPECT_NEAR(prompts / n, 1000, 30);
}

TEST(RealArrivals, AreThoseOfTheirPublishers) {
  const char* const named = std::getenv("MOESIM_DATA_SETS");
  const fs::path data =
      named != nullptr ? fs::path(named) : fs::path(MOESIM_SOURCE_DIR) / "../shared/data";
  if (!fs::exists(data / "requests")) {
    GTEST_SKIP() << "no data sets at ../shared/data or $MOESIM_DATA_SETS";
  }
  RequestSpec spec;
  spec.source = ArrivalSource::kAzure;
  spec.path = (data / "requests/azure-llm-2023/AzureLLMInferenceTrace_conv.csv.gz").string();
  const Arrivals azure = read_arrivals(spec, 1);
  EXPECT_EQ(azure.requests.size(), 19'366U);
  EXPECT_NEAR(azure.requests.back().arrival.value, 3502, 1);
  EXPECT_EQ(azure.requests[0].prompt_tokens, 374);
  spec.source = ArrivalSource::kMooncake;
  spec.path = (data / "requests/mooncake-fast25/conversation_trace.jsonl.gz").string();
  const Arrivals mooncake = read_arrivals(spec, 1);
  EXPECT_EQ(mooncake.requests.size(), 12'031U);
  EXPECT_EQ(mooncake.stamps, 1'180);
}

// One request at a time, room for all: each finds every block that any before it had. Counted apart
// over the file (a set of the names seen so far): 54,063,104 of 144,793,823 tokens, 37.3 %.
TEST(RealArrivals, OfMooncakeShareAsManyTokensAsAnyCacheCouldHave) {
  const char* const named = std::getenv("MOESIM_DATA_SETS");
  const fs::path data =
      named != nullptr ? fs::path(named) : fs::path(MOESIM_SOURCE_DIR) / "../shared/data";
  if (!fs::exists(data / "requests")) {
    GTEST_SKIP() << "no data sets at ../shared/data or $MOESIM_DATA_SETS";
  }
  ServingSetup how;
  how.kv_tokens = 1'000'000'000;
  how.spec.source = ArrivalSource::kMooncake;
  how.spec.path = (data / "requests/mooncake-fast25/conversation_trace.jsonl.gz").string();
  how.spec.prefix_cache = true;
  how.spec.concurrency = 1;
  how.spec.chunk_tokens = how.spec.max_batch_tokens = 1'000'000;
  Arrivals mooncake = read_arrivals(how.spec, 1);
  for (Request& request : mooncake.requests) {
    request.output_tokens = 1;
  }
  const StepTime step = [](const GroupLoads&) { return seconds(0.001); };
  const ServingRun run = serve(mooncake.requests, how, step, nullptr, {});
  EXPECT_EQ(run.prefix_hits, 54'063'104);
  EXPECT_EQ(run.admitted_tokens, 144'793'823);
  EXPECT_EQ(run.prefilled_tokens, 144'793'823 - 54'063'104);
  EXPECT_EQ(run.dropped_blocks, 0);
  how.kv_tokens = 1'000'000;
  const ServingRun small = serve(mooncake.requests, how, step, nullptr, {});
  EXPECT_LT(small.prefix_hits, run.prefix_hits);
  EXPECT_GT(small.prefix_hits, run.prefix_hits / 20);
  EXPECT_GT(small.dropped_blocks, 100'000);
}

TEST(PrefixBlocks, MustCoverThePrompt) {
  char name[] = "/tmp/moesim-blocks-XXXXXX";
  const int file = ::mkstemp(name);
  ASSERT_GE(file, 0);
  ::close(file);
  std::ofstream(name) << "{\"timestamp\": 0, \"input_length\": 513, \"output_length\": 1, "
                         "\"hash_ids\": [1, 2]}\n"
                         "{\"timestamp\": 0, \"input_length\": 512, \"output_length\": 1, "
                         "\"hash_ids\": [1, 2]}\n";
  RequestSpec spec;
  spec.source = ArrivalSource::kMooncake;
  spec.path = name;
  EXPECT_EQ(read_arrivals(spec, 1).requests.size(), 2U);
  EXPECT_TRUE(read_arrivals(spec, 1).requests[0].blocks.empty());
  spec.prefix_cache = true;
  try {
    (void)read_arrivals(spec, 1);
    ADD_FAILURE() << "accepted";
  } catch (const UserError& error) {
    EXPECT_EQ(std::string(error.what()),
              spec.path +
                  ":2:1: error: hash_ids: 2 of them, but a prompt of 512 tokens has 1 with "
                  "requests.prefix_block = 512");
  }
  fs::remove(name);
}

}  // namespace
}  // namespace moesim
