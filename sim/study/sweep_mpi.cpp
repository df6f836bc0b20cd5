// SPDX-License-Identifier: Apache-2.0
// Manager and workers. Texts from a worker: R ready; D and a result as JSON; C and an index, given
// back; E and the words of what ended it; B gone home. To a worker: W, an index, a line end and a
// text; S go home.
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <chrono>
#include <deque>
#include <exception>
#include <thread>

#include "sim/core/check.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/step/replay.hpp"
#include "sim/study/sweep_crew.hpp"

namespace moesim {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

constexpr auto kBetweenPolls = 200us;

struct WorkerResult {
  std::size_t index = 0;
  Evaluation evaluation;
  double seconds = 0;
};

std::string to_message(const WorkerResult& result) {
  Json metrics = Json::array();
  for (const Metric& metric : result.evaluation.metrics) {
    metrics.push_back({metric.path, to_json(metric.value)});
  }
  const Json json = {{"index", result.index},
                     {"refused", result.evaluation.refused},
                     {"text", result.evaluation.text},
                     {"metrics", metrics},
                     {"seconds", result.seconds}};
  return fmt::format("D{}", json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

WorkerResult result_of(std::string_view message) {
  const Json json = Json::parse(message.substr(1));
  WorkerResult result;
  result.index = json["index"].get<std::size_t>();
  result.evaluation.refused = json["refused"].get<bool>();
  result.evaluation.text = json["text"].get<std::string>();
  result.seconds = json["seconds"].get<double>();
  for (const Json& metric : json["metrics"]) {
    result.evaluation.metrics.push_back({metric[0].get<std::string>(), scalar_of(metric[1])});
  }
  return result;
}

std::size_t index_of(std::string_view digits) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  MOESIM_CHECK(error == std::errc(), "a message between processes is broken");
  return index;
}

/// Process 0's side.
class Manager {
 public:
  Manager(SweepQueue& queue,
          SweepCrew& crew,
          const std::function<std::string(std::size_t)>& text_of,
          MpiWorld& world)
      : queue_(queue), crew_(crew), text_of_(text_of), world_(world), here_(world.size() - 1) {}

  /// Until every worker has gone home. Throws the first failure, of a worker or here.
  void run() {
    while (here_ > 0) {
      try {
        turn();
      } catch (...) {  // a store that cannot be written: all go home, then it is reported
        queue_.stop();
        failure_ = failure_ ? failure_ : std::current_exception();
      }
    }
    if (failure_) {
      std::rethrow_exception(failure_);
    }
  }

 private:
  void turn() {
    if (crew_.is_cancelled()) {
      queue_.stop();
    }
    const bool heard = listen();
    if (!feed() && !heard) {
      std::this_thread::sleep_for(kBetweenPolls);
    }
  }

  bool listen() {
    const std::optional<MpiWorld::Message> message = world_.poll();
    if (!message) {
      return false;
    }
    const std::string_view text = message->text;
    switch (text.front()) {
      case 'R':
        idle_.push_back(message->rank);
        break;
      case 'D': {
        idle_.push_back(message->rank);
        const WorkerResult result = result_of(text);
        crew_.enter(result.index, result.evaluation, result.seconds);
        break;
      }
      case 'C':
        queue_.give_back(index_of(text.substr(1)));
        break;
      case 'E':
        throw EnvironmentError(fmt::format("process {}: {}", message->rank, text.substr(1)));
      default:
        --here_;
    }
    return true;
  }

  /// Gives the first idle worker something to do, or sends it home.
  bool feed() {
    if (idle_.empty()) {
      return false;
    }
    const SweepQueue::Next next = queue_.next();
    if (next.kind == SweepQueue::Kind::kWait) {
      return false;
    }
    world_.send(idle_.front(),
                next.kind == SweepQueue::Kind::kWork
                    ? fmt::format("W{}\n{}", next.index, text_of_(next.index))
                    : "S");
    idle_.pop_front();
    return true;
  }

  SweepQueue& queue_;
  SweepCrew& crew_;
  const std::function<std::string(std::size_t)>& text_of_;
  MpiWorld& world_;
  int here_;
  std::deque<int> idle_;
  std::exception_ptr failure_;
};

}  // namespace

void run_sweep(SweepQueue& queue,
               const Evaluate& evaluate,
               const std::function<std::string(std::size_t index)>& text_of,
               MpiWorld& world,
               const SweepControl& control) {
  SweepCrew crew(queue, evaluate, control, 1, threads_of(control.threads));
  Manager(queue, crew, text_of, world).run();
  crew.finish();
}

void dismiss_workers(MpiWorld& world) {
  for (int here = world.size() - 1; here > 0;) {
    const std::optional<MpiWorld::Message> message = world.poll();
    if (!message) {
      std::this_thread::sleep_for(kBetweenPolls);
    } else if (message->text == "R") {
      world.send(message->rank, "S");
    } else if (message->text == "B") {
      --here;
    }
  }
}

void serve_sweep(MpiWorld& world,
                 const std::function<Evaluation(const std::string& text)>& evaluate,
                 const std::atomic<bool>& cancelled) {
  world.send(0, "R");
  while (!cancelled.load()) {
    const std::optional<MpiWorld::Message> message = world.poll();
    if (!message) {
      std::this_thread::sleep_for(kBetweenPolls);
      continue;
    }
    if (message->text == "S") {
      break;
    }
    const std::string_view text = std::string_view(message->text).substr(1);
    const std::size_t line = text.find('\n');
    const std::size_t index = index_of(text.substr(0, line));
    const auto start = std::chrono::steady_clock::now();
    try {
      WorkerResult result{
          .index = index, .evaluation = evaluate(std::string(text.substr(line + 1))), .seconds = 0};
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      result.seconds = taken.count();
      world.send(0, to_message(result));
    } catch (const Cancelled&) {
      world.send(0, fmt::format("C{}", index));
      break;
    } catch (const std::exception& error) {
      world.send(0, fmt::format("C{}", index));
      world.send(0, fmt::format("E{}", error.what()));
      break;
    }
  }
  world.send(0, "B");
}

}  // namespace moesim
