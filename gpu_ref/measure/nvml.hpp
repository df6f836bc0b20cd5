// SPDX-License-Identifier: Apache-2.0
// What the driver's management library tells of one GPU. It is opened at run time: a machine
// without it is measured all the same, and what it would have told is absent.
#pragma once

#include <optional>
#include <string>

#include "gpu_ref/measure/record.hpp"

namespace moesim::measure {

class Nvml {
 public:
  /// Of the GPU with this PCI bus id ("0000:1b:00.0").
  explicit Nvml(const std::string& pci_bus_id);
  ~Nvml();
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  [[nodiscard]] Clocks clocks() const;
  [[nodiscard]] std::string driver_version() const;  ///< "" if unknown
  [[nodiscard]] std::optional<double> power_limit_w() const;

 private:
  /// A function of the library, null if it or the library is absent.
  template <typename Function>
  Function* function(const char* name) const;
  /// A number that `name`(device, ..., &number) gives.
  template <typename... Before>
  std::optional<double> number(const char* name, double unit, Before... before) const;

  void* library_ = nullptr;
  void* device_ = nullptr;
};

}  // namespace moesim::measure
