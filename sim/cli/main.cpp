// SPDX-License-Identifier: Apache-2.0
// The program: the only code that prints, catches everything, or sets an exit code.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "sim/cli/console.hpp"
#include "sim/cli/exit_codes.hpp"
#include "sim/cli/program.hpp"
#include "sim/core/diagnostics.hpp"
#include "sim/step/replay.hpp"

namespace moesim::cli {

namespace {

/// Memory that one step gives back is taken again by the next: it stays in the process. By default
/// glibc returns it to the kernel, and its pages are cleared anew each time (a seventh of a sweep).
void keep_memory() {
#ifdef __GLIBC__
  constexpr int kMegabyte = 1 << 20;
  mallopt(M_MMAP_THRESHOLD, 32 * kMegabyte);  // the most that is allowed
  mallopt(M_TRIM_THRESHOLD, 512 * kMegabyte);
  mallopt(M_TOP_PAD, kMegabyte);
#endif
}

int fail(ExitCode code, std::string_view text) {
  print_error(fmt::format("{}\n", text));
  return code;
}

int run(int argc, char** argv) {
  keep_memory();
  const std::unique_ptr<CLI::App> program = make_program();
  try {
    run_words(*program, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
    return kDone;
  } catch (const CLI::Success& help) {
    return program->exit(help);
  } catch (const CLI::ParseError& error) {
    return fail(kUserMistake,
                fmt::format("error: {}\nRun with --help for more information.", error.what()));
  } catch (const UserError& error) {
    return fail(kUserMistake, error.what());
  } catch (const Cancelled&) {
    return fail(kInterrupted, "interrupted; nothing was written");
  } catch (const Interrupted& interruption) {
    return fail(kInterrupted, interruption.what());
  } catch (const std::logic_error& error) {
    return fail(kOurBug, fmt::format("bug in moesim: {}", error.what()));
  } catch (const std::bad_alloc&) {
    return fail(kEnvironment, "error: out of memory");
  } catch (const std::exception& error) {
    return fail(kEnvironment, fmt::format("error: {}", error.what()));
  }
}

}  // namespace
}  // namespace moesim::cli

int main(int argc, char** argv) {
  try {
    return moesim::cli::run(argc, argv);
  } catch (...) {  // standard error itself failed, or the options are declared wrongly
    return moesim::cli::kOurBug;
  }
}
