// SPDX-License-Identifier: Apache-2.0
#include "gpu_ref/measure/nvml.hpp"

#include <dlfcn.h>

#include <array>

namespace moesim::measure {
namespace {

// Values of nvml.h, which CUDA's toolkit may lack: return code, clock types, temperature sensor.
constexpr int kSuccess = 0;
constexpr int kClockSm = 1;
constexpr int kClockMemory = 2;
constexpr int kTemperatureGpu = 0;
constexpr double kMegahertz = 1e6;
constexpr double kMilliwatt = 1e-3;

}  // namespace

template <typename Function>
Function* Nvml::function(const char* name) const {
  return library_ == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(library_, name));
}

template <typename... Before>
std::optional<double> Nvml::number(const char* name, double unit, Before... before) const {
  auto* const call = function<int(void*, Before..., unsigned*)>(name);
  unsigned value = 0;
  if (device_ == nullptr || call == nullptr || call(device_, before..., &value) != kSuccess) {
    return std::nullopt;
  }
  return static_cast<double>(value) * unit;
}

Nvml::Nvml(const std::string& pci_bus_id)
    : library_(::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
  auto* const init = function<int()>("nvmlInit_v2");
  if (init == nullptr || init() != kSuccess) {
    return;
  }
  auto* const find = function<int(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2");
  if (find == nullptr || find(pci_bus_id.c_str(), &device_) != kSuccess) {
    device_ = nullptr;
  }
}

Nvml::~Nvml() {
  if (library_ != nullptr) {
    if (auto* const shutdown = function<int()>("nvmlShutdown"); shutdown != nullptr) {
      shutdown();
    }
    ::dlclose(library_);
  }
}

Clocks Nvml::clocks() const {
  return {.sm_hz = number("nvmlDeviceGetClockInfo", kMegahertz, kClockSm),
          .memory_hz = number("nvmlDeviceGetClockInfo", kMegahertz, kClockMemory),
          .temperature_c = number("nvmlDeviceGetTemperature", 1, kTemperatureGpu),
          .power_w = number("nvmlDeviceGetPowerUsage", kMilliwatt)};
}

std::string Nvml::driver_version() const {
  auto* const call = function<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
  std::array<char, 96> text{};
  if (call == nullptr || call(text.data(), text.size()) != kSuccess) {
    return "";
  }
  return text.data();
}

std::optional<double> Nvml::power_limit_w() const {
  return number("nvmlDeviceGetEnforcedPowerLimit", kMilliwatt);
}

}  // namespace moesim::measure
