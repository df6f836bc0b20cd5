// SPDX-License-Identifier: Apache-2.0
// Unit types. A number that is not a count carries its dimension in its type, always in SI base
// units (bytes, seconds, floating-point operations). 1 GB = 1e9 B throughout the project.
#pragma once

#include <compare>

namespace moesim {

/// A double tagged with its dimension: bytes^B * seconds^T * flops^F.
template <int B, int T, int F>
struct Quantity {
  double value = 0.0;

  constexpr auto operator<=>(const Quantity&) const = default;
  constexpr Quantity operator+(Quantity o) const { return {value + o.value}; }
  constexpr Quantity operator-(Quantity o) const { return {value - o.value}; }
  constexpr Quantity operator-() const { return {-value}; }
  constexpr Quantity& operator+=(Quantity o) { return value += o.value, *this; }
  constexpr Quantity& operator-=(Quantity o) { return value -= o.value, *this; }
  constexpr Quantity operator*(double scale) const { return {value * scale}; }
  constexpr Quantity operator/(double scale) const { return {value / scale}; }
};

/// Ratio of two like quantities: a plain number.
template <int B, int T, int F>
constexpr double operator/(Quantity<B, T, F> a, Quantity<B, T, F> b) {
  return a.value / b.value;
}

template <int B1, int T1, int F1, int B2, int T2, int F2>
constexpr Quantity<B1 - B2, T1 - T2, F1 - F2> operator/(Quantity<B1, T1, F1> a,
                                                        Quantity<B2, T2, F2> b) {
  return {a.value / b.value};
}

template <int B1, int T1, int F1, int B2, int T2, int F2>
constexpr Quantity<B1 + B2, T1 + T2, F1 + F2> operator*(Quantity<B1, T1, F1> a,
                                                        Quantity<B2, T2, F2> b) {
  return {a.value * b.value};
}

template <int B, int T, int F>
constexpr Quantity<B, T, F> operator*(double scale, Quantity<B, T, F> q) {
  return {scale * q.value};
}

using Bytes = Quantity<1, 0, 0>;
using Seconds = Quantity<0, 1, 0>;
using Flops = Quantity<0, 0, 1>;
using BytesPerSecond = Quantity<1, -1, 0>;
using FlopsPerSecond = Quantity<0, -1, 1>;

constexpr Bytes bytes(double n) {
  return {n};
}
constexpr Bytes gigabytes(double n) {
  return {n * 1e9};
}
constexpr Seconds seconds(double n) {
  return {n};
}
constexpr Seconds microseconds(double n) {
  return {n * 1e-6};
}
constexpr Flops flops(double n) {
  return {n};
}
constexpr BytesPerSecond gigabytes_per_second(double n) {
  return {n * 1e9};
}
constexpr BytesPerSecond gigabits_per_second(double n) {
  return {n * 1e9 / 8};
}
constexpr FlopsPerSecond teraflops_per_second(double n) {
  return {n * 1e12};
}

}  // namespace moesim
