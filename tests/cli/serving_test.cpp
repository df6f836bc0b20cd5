// SPDX-License-Identifier: Apache-2.0
// `moesim run` of requests over time. The scene's model on 4 ranks, its pack of 8 sequences.
#include <gmock/gmock-matchers.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "sim/moe/traces/gzip.hpp"
#include "tests/cli/scene.hpp"

namespace moesim::cli_tests {
namespace {

using testing::HasSubstr;
using testing::Not;

class Serving : public Scene {
 protected:
  Serving() {
    edit_scenario("[batch]\ntokens_per_rank = 16\nsteps = 3\n",
                  "[requests]\nrate = 100\ncount = 60\nprompt_tokens = 200\nprompt_sigma = "
                  "0.5\noutput_tokens = 20\noutput_sigma = 0.5\ncheck_steps = 6\n\n[step]\nkind = "
                  "\"serving\"\n");
  }
  static std::vector<std::string> run(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"run", "scenario.toml"};
    for (std::string& one : more) {
      if (one.find('=') != std::string::npos) {
        arguments.emplace_back("--set");
      }
      arguments.push_back(std::move(one));
    }
    return arguments;
  }
  void expect_mistake(const std::vector<std::string>& more, const std::string& words) const {
    const Outcome outcome = moesim(run(more));
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, words);
  }
  static std::int64_t lines(const std::string& text) {
    return std::count(text.begin(), text.end(), '\n');
  }
};

TEST_F(Serving, TakesNoLearnedGate) {
  edit_scenario("trace = \"./pack\"", "source = \"learned\"");
  expect_mistake({},
                 "error: routing.source: learned gates route steps, not requests; serving takes "
                 "\"trace\" or \"generated\"\n");
}

TEST_F(Serving, SaysWhatRequestsMet) {
  const Outcome outcome = moesim(run({"requests.ttft_slo=1 s", "requests.tpot_slo=1 s"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              HasSubstr("scenario.toml: 60 requests served colocated by toy on 4 GPUs: 1 EP "
                        "group(s), ep\n  4, tp 1;"));
  EXPECT_THAT(outcome.out, HasSubstr("arrivals: Poisson arrivals, 100 a second\n"));
  EXPECT_THAT(outcome.out,
              HasSubstr("a join of independent traces: arrivals and routing were not observed "
                        "together\n"));
  EXPECT_THAT(outcome.out,
              HasSubstr("60 requests counted; no warm-up: the system starts empty, and is counted "
                        "from\n  there\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\nTTFT "));
  EXPECT_THAT(outcome.out, HasSubstr("\nTPOT "));
  EXPECT_THAT(
      outcome.out,
      HasSubstr("goodput: 100.00 % of the requests meet the SLO (TTFT 1.00 s, TPOT 1.00 s)\n"));
  EXPECT_THAT(outcome.out, HasSubstr("against 6 steps of this run simulated in full,"));
}

TEST_F(Serving, WritesReportRequestsAndSeries) {
  const Outcome outcome =
      moesim(run({"--out", "result", "requests.interval=100 ms", "requests.warm_up=50 ms"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json report = nlohmann::json::parse(read("result/report.json"));
  EXPECT_EQ(report["format"], "moesim-serving-report");
  EXPECT_EQ(report["independent_traces"], true);
  EXPECT_EQ(report["partial"], false);
  EXPECT_EQ(report["slo"], nlohmann::json::parse(R"({"ttft_s": null, "tpot_s": null})"));
  EXPECT_THAT(outcome.err,
              testing::AnyOf("results: result/report.json; page: result/report.html\n",
                             "results: result/report.json; no page: built without npm\n"));
  const nlohmann::json& summary = report["summary"];
  EXPECT_EQ(summary["counted"].get<int>() + summary["warm_up"].get<int>(), 60);
  EXPECT_GT(summary["warm_up"].get<int>(), 0);
  EXPECT_EQ(report["step_times"]["checked_steps"].size(), 6U);
  EXPECT_LT(report["step_times"]["max_error_ratio"].get<double>(), 0.25);
  const std::string requests = read("result/requests.csv");
  EXPECT_EQ(lines(requests), 61);
  EXPECT_EQ(requests.find("request,arrival_s,prompt_tokens,output_tokens,state,ep_group,"), 0U);
  // Every output token shows in the series but the first of each request.
  std::istringstream series(read("result/series.csv"));
  std::string line;
  std::getline(series, line);
  EXPECT_EQ(line,
            "start_s,seconds,arrivals,finished,waiting,running,kv_ratio,busy_ratio,steps,"
            "prefill_tokens,output_tokens");
  std::int64_t arrivals = 0;
  std::int64_t steps = 0;
  while (std::getline(series, line)) {
    std::istringstream row(line);
    std::vector<double> cells;
    for (std::string cell; std::getline(row, cell, ',');) {
      cells.push_back(std::stod(cell));
    }
    arrivals += static_cast<std::int64_t>(cells.at(2));
    steps += static_cast<std::int64_t>(cells.at(8));
  }
  EXPECT_EQ(arrivals, 60);
  EXPECT_EQ(steps, summary["steps"].get<std::int64_t>());
  EXPECT_EQ(json_of({"run", "result/scenario.toml", "--json"})["summary"], summary);
}

// Requests end when requests.csv says so, and the counters are series.csv.
TEST_F(Serving, TheTimelineHoldsEveryRequestAndTheSeries) {
  ASSERT_EQ(moesim(run({"--out", "result", "--timeline", "requests.interval=100 ms"})).code, 0);
  const nlohmann::json timeline =
      nlohmann::json::parse(traces::read_text(folder() / "result/timeline.json.gz", 1U << 26U));
  EXPECT_EQ(timeline["otherData"]["requests_shown"], 60);
  double latency = 0.0;
  int open = 0;
  std::vector<double> waiting;
  for (const nlohmann::json& event : timeline["traceEvents"]) {
    const bool begins = event["ph"] == "b";
    open += begins ? 1 : event["ph"] == "e" ? -1 : 0;
    if (event["name"] == "request") {
      latency += (begins ? -1e-6 : 1e-6) * event["ts"].get<double>();
    }
    if (event["name"] == "requests that wait") {
      waiting.push_back(event["args"]["requests"].get<double>());
    }
  }
  EXPECT_EQ(open, 0);
  const nlohmann::json report = nlohmann::json::parse(read("result/report.json"));
  EXPECT_NEAR(latency / 60, report["summary"]["latency_s"]["mean"].get<double>(), 1e-9);
  EXPECT_EQ(static_cast<std::int64_t>(waiting.size()) + 1, lines(read("result/series.csv")));
}

TEST_F(Serving, IsTheSameAtAnyThreadCount) {
  const Outcome one = moesim(run({"--json", "--threads", "1"}));
  const Outcome two = moesim(run({"--json", "--threads", "2"}));
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.out, two.out);
  EXPECT_NE(moesim(run({"--json", "--seed", "8"})).out, one.out);
}

TEST_F(Serving, AnEmptySystemServesOneRequestInItsStepTimes) {
  const nlohmann::json json = json_of(run({"--json",
                                           "requests.count=1",
                                           "requests.prompt_sigma=0",
                                           "requests.output_sigma=0",
                                           "requests.surface_layers=0"}));
  const nlohmann::json& summary = json["summary"];
  EXPECT_EQ(summary["steps"], 20);
  EXPECT_EQ(summary["queue_s"]["max"], 0);
  const double ttft = summary["ttft_s"]["mean"].get<double>();
  const double tpot = summary["tpot_s"]["mean"].get<double>();
  EXPECT_NEAR(summary["latency_s"]["mean"].get<double>(), ttft + 19 * tpot, 1e-9);
  EXPECT_EQ(summary["utilization_ratio"], 1);
  for (const nlohmann::json& step : json["step_times"]["checked_steps"]) {
    if (step["prefill_tokens"] == 200) {
      EXPECT_NEAR(step["predicted_s"].get<double>(), ttft, 1e-9);
    }
  }
}

TEST_F(Serving, MovesCachesBetweenPools) {
  const nlohmann::json json = json_of(run({"--json",
                                           "parallel.ep=2",
                                           "requests.policy=disaggregated",
                                           "requests.groups=2",
                                           "requests.prefill_groups=1"}));
  EXPECT_EQ(json["policy"], "disaggregated");
  EXPECT_GT(json["summary"]["kv_moves"].get<int>(), 50);
  EXPECT_EQ(json["summary"]["counted"], 60);
}

TEST_F(Serving, ADenseModelHasNoRouting) {
  const nlohmann::json json = json_of(run({"--json",
                                           "model.moe_layers=0",
                                           "model.num_experts=0",
                                           "model.top_k=0",
                                           "model.expert_width=0",
                                           "model.dense_width=512"}));
  EXPECT_EQ(json["routing"], nullptr);
  EXPECT_EQ(json["independent_traces"], false);
  EXPECT_LT(json["step_times"]["max_error_ratio"].get<double>(), 1e-6);
}

TEST_F(Serving, CheckReadsTheArrivals) {
  write("a.csv", "arrival_s,prompt_tokens,output_tokens\n0,5,5\n0,5,5\n0,6,6\n0,7,7\n0,8,8\n");
  edit_scenario(
      "rate = 100\ncount = 60\nprompt_tokens = 200\nprompt_sigma = 0.5\noutput_tokens = "
      "20\noutput_sigma = 0.5\n",
      "source = \"table\"\npath = \"a.csv\"\n");
  const Outcome outcome = moesim({"check", "scenario.toml"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("note: 5 arrivals share 1 time stamps: bursts of the recording's grid;\n"
                        "  requests.spread moves them apart\n"));
  EXPECT_THAT(outcome.out, HasSubstr("\n[requests]\nsource = \"table\"\n"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("[batch]")));
  write("a.csv", "arrival_s,prompt_tokens\n");
  EXPECT_EQ(moesim({"check", "scenario.toml"}).err,
            "a.csv: error: no column \"output_tokens\"; found: arrival_s, prompt_tokens\n");
}

TEST_F(Serving, RefusesWhatContradicts) {
  expect_mistake(
      {"requests.chunk_tokens=4096"},
      "--set requests.chunk_tokens=4096: error: requests.chunk_tokens: 4096 is more than "
      "requests.max_batch_tokens = 2048 (default)\n");
  expect_mistake({"requests.max_sequences=4096"},
                 "--set requests.max_sequences=4096: error: requests.max_sequences: 4096 is more "
                 "than requests.max_batch_tokens = 2048 (default): each decodes a token a step\n");
  expect_mistake({"requests.groups=2"},
                 "--set requests.groups=2: error: requests.groups: 2 groups of parallel.ep = 4 "
                 "(scenario.toml:20) do not fit 4 GPUs\n");
  expect_mistake({"requests.prefill_groups=1"},
                 "--set requests.prefill_groups=1: error: requests.prefill_groups: has no effect "
                 "with requests.policy = colocated (default)\n");
  expect_mistake({"requests.policy=disaggregated"},
                 "--set requests.policy=disaggregated: error: requests.prefill_groups: 0 of "
                 "requests.groups = 1 (default) cannot prefill while others decode, as "
                 "requests.policy = disaggregated (--set requests.policy=disaggregated) needs\n");
  expect_mistake(
      {"capacity.policy=drop"},
      "--set capacity.policy=drop: error: capacity.policy: drop, but step.kind = serving "
      "(scenario.toml:32) drops nothing; set none\n");
  expect_mistake({"batch.tokens_per_rank=4"},
                 "--set batch.tokens_per_rank=4: error: batch.tokens_per_rank: has no effect with "
                 "step.kind = serving (scenario.toml:32)\n");
}

TEST_F(Serving, RefusesWhatSourcesDoNotKnow) {
  const Outcome outcome = moesim(run({"requests.source=azure"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err,
              HasSubstr("error: requests.path: missing; needed by requests.source = azure"));
  EXPECT_THAT(outcome.err, HasSubstr("error: requests.rate: has no effect with requests.source"));
  expect_mistake({"requests.path=x.csv"},
                 "--set requests.path=x.csv: error: requests.path: has no effect with "
                 "requests.source = poisson (default)\n");
  expect_mistake(
      {"step.kind=decode", "batch.tokens_per_rank=4", "batch.context_tokens=10"},
      "scenario.toml:22:1: error: requests: has no effect with step.kind = decode (--set "
      "step.kind=decode); it needs serving\n    22 | [requests]\n       | ^\n");
  expect_mistake({"cluster.gpu.memory=1 MB"},
                 "error: cluster.gpu.memory: 0.001 GB leave no room for a KV cache: a rank holds "
                 "0.0325 GB of weights, activations of requests.max_batch_tokens = 2048 and "
                 "buffers; see moesim memory with step.kind = prefill\n");
  EXPECT_EQ(moesim({"memory", "scenario.toml"}).err,
            "error: step.kind: serving has no bill of one step; moesim run shows its cache, and "
            "prefill, decode or train the bill of theirs\n");
  expect_mistake(
      {"--strict"},
      "error: --strict: attention, dense layers and head of a whole model rest on no fit "
      "of their own\n");
}

TEST_F(Serving, RefusesWhatItDoesNotHave) {
  expect_mistake({"step.overlap=two_batch"},
                 "--set step.overlap=two_batch: error: step.overlap: two_batch, but step.kind = "
                 "serving (scenario.toml:32) cuts no batch in two; set none or shared_expert\n");
  EXPECT_THAT(
      moesim(run({"parallel.ep=2", "parallel.pp=2"})).err,
      HasSubstr("--set parallel.pp=2: error: parallel.pp: 2 stages, but step.kind = serving "
                "(scenario.toml:32) knows one\n"));
  write("arrivals.csv", "arrival_s,prompt_tokens,output_tokens\n0,40,5\n");
  EXPECT_THAT(moesim(run({"requests.source=table",
                          "requests.path=arrivals.csv",
                          "requests.from=10 s",
                          "requests.to=5 s"}))
                  .err,
              HasSubstr("--set requests.to=5 s: error: requests.to: 5 s is not after requests.from "
                        "= 10 s (--set requests.from=10 s)\n"));
  edit_scenario("[routing]\ntrace = \"./pack\"\n", "[routing]\nsource = \"learned\"\n");
  EXPECT_THAT(moesim(run()).err,
              HasSubstr("error: routing.source: learned gates route steps, not requests; serving "
                        "takes \"trace\" or \"generated\"\n"));
}

TEST_F(Serving, CountsOnlyPacksHaveNoSequences) {
  write("counts/pack.json",
        "{\"format\":\"moesim-route-pack\",\"version\":1,\"model\":\"toy\",\"experts\":8,\"top_k\":"
        "2,\"layers\":2,\"first_moe_layer\":0,\"slot_order\":\"unknown\",\"phase\":\"training\","
        "\"source\":\"s\",\"licence\":\"none\",\"expert_ids\":\"logical\",\"axes\":[\"step\","
        "\"layer\",\"expert\"]}");
  std::string data;
  for (int i = 0; i < 16; ++i) {
    data += '\4';
  }
  write("counts/counts.npy", npy("|u1", "False", "1, 2, 8", data));
  expect_mistake({"routing.trace=./counts"},
                 "counts: error: routing.trace: a counts pack has no sequences for requests to "
                 "read\n");
}

// 4 GPUs at 2 USD/h; the draw is idle and busy in the shares of the run.
TEST_F(Serving, MoneyIsOfTheRunItself) {
  const std::vector<std::string> prices = {"price.source=an offer",
                                           "price.basis=quoted",
                                           "price.gpu_rent=2 USD/h",
                                           "price.gpu_busy=1 kW",
                                           "price.gpu_idle=100 W",
                                           "requests.ttft_slo=150 us",
                                           "requests.warm_up=100 ms"};
  std::vector<std::string> as_json = prices;
  as_json.emplace_back("--json");
  const nlohmann::json report = json_of(run(as_json));
  const nlohmann::json& summary = report["summary"];
  const nlohmann::json& money = report["money"];
  const double seconds = summary["duration_s"];
  const double prompt = summary["prompt_tokens_per_s"];
  const double output = summary["output_tokens_per_s"];
  const double busy = summary["utilization_ratio"];
  const double paid = 8 * seconds / 3600;
  const nlohmann::json& rented = money["rented"];
  EXPECT_EQ(money["rented_usd_per_h"], 8.0);
  EXPECT_EQ(money["owned"], nullptr);
  EXPECT_EQ(money["utilisation_ratio"], busy);
  EXPECT_NEAR(rented["usd_per_million_tokens"], paid / ((prompt + output) * seconds) * 1e6, 1e-9);
  EXPECT_NEAR(rented["usd_per_million_prompt_tokens"], paid / (prompt * seconds) * 1e6, 1e-9);
  EXPECT_NEAR(rented["usd_per_million_output_tokens"], paid / (output * seconds) * 1e6, 1e-9);
  EXPECT_NEAR(rented["usd_per_request"], paid / summary["counted"].get<double>(), 1e-12);
  EXPECT_LT(summary["slo_ratio"], 1.0);
  EXPECT_GT(summary["slo_ratio"], 0.0);
  EXPECT_NEAR(rented["usd_per_million_tokens_within_slo"],
              paid / (summary["goodput_tokens_per_s"].get<double>() * seconds) * 1e6,
              1e-9);
  EXPECT_EQ(rented["prefill_usd_per_million_prompt_tokens"], nullptr);
  const double power = 4 * (busy * 1000 + (1 - busy) * 100);
  EXPECT_NEAR(money["power_w"], power, 1e-9 * power);
  EXPECT_NEAR(money["tokens_per_joule"], (prompt + output) / power, 1e-9);
  EXPECT_NEAR(money["output_tokens_per_joule"], output / power, 1e-9);
  const Outcome text = moesim(run(prices));
  EXPECT_THAT(text.out,
              HasSubstr("\ncost     an hour      tokens       alone       alone  within SLO     a "
                        "request\nrented  8.00 USD   0.125 USD "));
  EXPECT_THAT(text.out, HasSubstr("\nprices: quoted (an offer), busy "));
  const Outcome split = moesim(run({"price.source=an offer",
                                    "price.basis=quoted",
                                    "price.gpu_rent=2 USD/h",
                                    "parallel.ep=2",
                                    "requests.groups=2",
                                    "requests.policy=disaggregated",
                                    "requests.prefill_groups=1"}));
  EXPECT_THAT(split.out, HasSubstr("\nrented, divided by groups: "));
  // A list is for all kinds of steps; its utilisation is not looked at.
  write("mine.toml",
        "source = \"a list\"\nbasis = \"quoted\"\ngpu_rent = \"2 USD/h\"\nutilisation = 0.5\n");
  const nlohmann::json listed = json_of(run({"price.preset=./mine.toml", "--json"}));
  EXPECT_EQ(listed["money"]["utilisation_ratio"], listed["summary"]["utilization_ratio"]);
}

}  // namespace
}  // namespace moesim::cli_tests
