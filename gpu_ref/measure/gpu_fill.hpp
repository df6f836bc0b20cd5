// SPDX-License-Identifier: Apache-2.0
// The kit's own kernels: random operands, a kernel that only waits, one that does nothing.
#pragma once

#include <cstdint>

#include "gpu_ref/device/handles.hpp"
#include "gpu_ref/formats.hpp"

namespace moesim::measure {

/// values[i] = bf16(scale * z), z near standard normal (the sum of four uniforms), a function of
/// (seed, i). Moves 2 bytes an element. Random, since matrix units draw more power on it than on
/// zeros and clock lower.
void fill_random(gpu_ref::Bf16* values,
                 std::int64_t count,
                 float scale,
                 std::uint64_t seed,
                 gpu_ref::StreamHandle stream);

/// values[i] uniform in [0, 1), f32.
void fill_random(float* values,
                 std::int64_t count,
                 std::uint64_t seed,
                 gpu_ref::StreamHandle stream);

/// Keeps the stream busy for about so long (by the clock of a multiprocessor, taken as 2 GHz), so
/// that the host can enqueue behind it what is to run without gaps.
void hold(double seconds, gpu_ref::StreamHandle stream);

/// One block of one warp that does nothing.
void launch_empty(gpu_ref::StreamHandle stream);

}  // namespace moesim::measure
