// SPDX-License-Identifier: Apache-2.0
// The program as another process: arguments in; exit code, output and errors out.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace moesim::cli_tests {

struct Outcome {
  int code = -1;   ///< exit code; -1 if a signal ended the program
  int signal = 0;  ///< that signal, else 0
  std::string out;
  std::string err;
};

/// The program while it runs; killed at the end of the scope if nobody waited for it.
class Program {
 public:
  /// @param folder working directory; $MOESIM_DATA is its subfolder data
  Program(const std::filesystem::path& folder, const std::vector<std::string>& arguments);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void send(int signal) const;
  /// Waits until the program handles the signal itself: false when it ends before.
  [[nodiscard]] bool comes_to_catch(int signal);
  /// Waits until the program has used so much processor time: false when it ends before.
  [[nodiscard]] bool comes_to_use(double seconds);
  [[nodiscard]] bool still_runs();
  [[nodiscard]] Outcome wait();

 private:
  [[nodiscard]] Outcome outcome() const;

  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::filesystem::path out_;
  std::filesystem::path err_;
};

/// Runs the program to its end.
[[nodiscard]] Outcome run_program(const std::filesystem::path& folder,
                                  const std::vector<std::string>& arguments);

}  // namespace moesim::cli_tests
