// SPDX-License-Identifier: Apache-2.0
// exp and log from additions and multiplications only, so that every platform gets the same bits
// (libm's differ in the last place). Within 1e-15 relative; not the fastest.
#pragma once

namespace moesim {

/// e^x. Below -700: 0; above 700 a std::logic_error.
[[nodiscard]] double portable_exp(double x);

/// Natural logarithm of x > 0, finite.
[[nodiscard]] double portable_log(double x);

}  // namespace moesim
