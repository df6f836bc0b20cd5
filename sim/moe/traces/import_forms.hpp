// SPDX-License-Identifier: Apache-2.0
// The readers behind import_trace: each turns one form into a pack in memory. Not for other
// modules.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sim/moe/traces/import.hpp"
#include "sim/moe/traces/pack.hpp"

namespace moesim::traces {

/// A dump in memory. `pack.topk` may still hold padding and any integer type.
struct Dump {
  RoutePack pack;
  std::string form;
  std::vector<std::int64_t> model_layers;  ///< layer numbers of the model, where the dump has them
  std::vector<std::string> dropped;
};

/// A header with what the options say.
[[nodiscard]] PackHeader header_of(const ImportOptions& options);

/// The option's value, or a UserError that says which option is missing.
[[nodiscard]] int required(const std::filesystem::path& input,
                           const std::optional<int>& option,
                           std::string_view name,
                           std::string_view why);

/// Throws if the option is given and differs from what the file says.
void check_agrees(const std::filesystem::path& input,
                  const std::optional<int>& option,
                  std::string_view name,
                  std::int64_t found);

[[nodiscard]] Dump read_ids(const std::filesystem::path& input,
                            NpyArray array,
                            const ImportOptions& options);
[[nodiscard]] Dump read_counts(const std::filesystem::path& input,
                               const NpyArray& array,
                               const ImportOptions& options);
[[nodiscard]] Dump read_counts_table(const std::filesystem::path& input,
                                     const std::string& text,
                                     const ImportOptions& options);
[[nodiscard]] Dump read_json_lines(const std::filesystem::path& input,
                                   const std::string& text,
                                   const ImportOptions& options);

/// Files of one recording, in order of their ranks; messages name `input`.
[[nodiscard]] Dump read_records(const std::filesystem::path& input,
                                const std::vector<std::filesystem::path>& files,
                                const ImportOptions& options);
[[nodiscard]] Dump read_expert_statistic(const std::filesystem::path& folder,
                                         const ImportOptions& options);
[[nodiscard]] Dump read_mindie(const std::filesystem::path& folder, const ImportOptions& options);
[[nodiscard]] Dump read_imatrix(const std::filesystem::path& input, const ImportOptions& options);

/// Files of a folder whose names begin and end so, by the number between, then by name.
[[nodiscard]] std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder,
                                                          std::string_view begin,
                                                          std::string_view end);

/// Makes the dump a counts pack; `shape` is [step, layer, expert].
void set_counts(const std::filesystem::path& input,
                Dump& dump,
                const std::vector<std::int64_t>& shape,
                const std::vector<std::int64_t>& counts,
                int top_k);

/// Leaves only some tokens and layers. Every kept token lies in a sequence; sequences left without
/// tokens go. What stays is copied, by way of `scratch` if it is large.
void keep_rows(RoutePack& pack,
               const std::vector<bool>& keep_token,
               const std::vector<bool>& keep_layer,
               const std::filesystem::path& scratch);

/// Counts as the smallest of u1, u2, u4 that holds them. Throws UserError for one that is negative
/// or above 2^32 - 1.
[[nodiscard]] NpyArray narrow_counts(const std::filesystem::path& input,
                                     std::vector<std::int64_t> shape,
                                     const std::vector<std::int64_t>& counts);

}  // namespace moesim::traces
