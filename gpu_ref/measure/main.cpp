// SPDX-License-Identifier: Apache-2.0
// moesim-measure: the measurement kit as a program of its own, for machines that have CUDA and
// nothing else. `moesim measure` is the same inside of moesim.
#include <csignal>
#include <cstdio>
#include <string_view>
#include <vector>

#include "gpu_ref/measure/measurement.hpp"
#include "gpu_ref/measure/mistake.hpp"

namespace moesim::measure {
namespace {

enum ExitCode { kDone = 0, kEnvironment = 1, kUserMistake = 2, kInterrupted = 130 };

// A signal handler can reach nothing else; it only ever goes from false to true.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
std::atomic<bool> g_interrupted{false};

extern "C" void on_signal(int signal) {
  if (g_interrupted.exchange(true)) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

void print(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

int run(const MeasureOptions& options) {
  if (options.help) {
    print(stdout, usage());
    return kDone;
  }
  if (options.version) {
    print(stdout,
          "moesim-measure " MOESIM_VERSION "\ncommit: " + std::string(source_commit()) + "\n");
    return kDone;
  }
  if (options.list) {
    const ProcessGroup group = process_group();
    print(stdout, list_text(cases_of(options, group.size, group.size)));
    return kDone;
  }
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  MeasureHooks hooks{.on_progress = {}, .interrupted = &g_interrupted, .version = MOESIM_VERSION};
  if (!options.quiet && process_group().rank == 0) {
    hooks.on_progress = [](const Progress& p) { print(stderr, progress_text(p) + "\n"); };
  }
  const RunnerResult result = measure(options, hooks);
  if (process_group().rank == 0) {
    print(stdout, result_text(result, options));
  }
  return result.interrupted ? kInterrupted : kDone;
}

int fail(ExitCode code, std::string_view text) {
  print(stderr, "error: " + std::string(text) + "\n");
  return code;
}

}  // namespace
}  // namespace moesim::measure

int main(int argc, char** argv) {
  using namespace moesim::measure;
  try {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    return run(parse_options(words));
  } catch (const KitMistake& mistake) {
    return fail(kUserMistake, mistake.what());
  } catch (const std::exception& error) {
    return fail(kEnvironment, error.what());
  }
}
