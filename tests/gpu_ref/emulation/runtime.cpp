// SPDX-License-Identifier: Apache-2.0
// Memory, streams, events and the fibers of blocks.
#include <cuda_runtime.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csetjmp>
#include <cstdlib>
#include <deque>
#include <memory>
#include <stdexcept>

thread_local dim3 threadIdx;
thread_local dim3 blockIdx;

struct CUstream_st {};
struct CUevent_st {
  std::chrono::steady_clock::time_point time;
};

namespace emulation {
namespace {

constexpr unsigned kWarp = 32;
constexpr std::size_t kStackBytes = std::size_t{64} << 10U;
constexpr int kDevices = 4;

enum class State { kReady, kAtWarp, kAtBlock, kDone };

/// A stack that runs the kernel for one thread of each block. It is entered once through its
/// context; after that switches are jumps, which, unlike swapcontext, make no system call.
struct Fiber {
  ucontext_t context{};
  std::jmp_buf place{};
  bool entered = false;
  std::unique_ptr<char[]> stack;
  State state = State::kDone;
  unsigned shuffles = 0;
};

/// The block that this OS thread is running.
class Block {
 public:
  void run(unsigned index, unsigned threads, bool reversed, const std::function<void()>& kernel) {
    kernel_ = &kernel;
    threads_ = threads;
    blockIdx = dim3(index);
    while (fibers_.size() < threads) {
      create();
    }
    for (unsigned i = 0; i < threads; ++i) {
      fibers_[i].state = State::kReady;
      fibers_[i].shuffles = 0;
    }
    bool any_ran = true;
    while (any_ran) {
      any_ran = false;
      for (unsigned i = 0; i < threads; ++i) {
        current_ = reversed ? threads - 1 - i : i;
        if (fibers_[current_].state == State::kReady) {
          any_ran = true;
          threadIdx = dim3(current_);
          resume(fibers_[current_]);
        }
      }
      any_ran = release() || any_ran;
    }
    for (unsigned i = 0; i < threads; ++i) {
      if (fibers_[i].state != State::kDone) {
        fibers_.clear();  // they are stuck in the middle of the kernel
        throw std::logic_error("a barrier that not every thread reaches");
      }
    }
  }

  void wait(State at) {
    Fiber& fiber = fibers_[current_];
    fiber.state = at;
    if (_setjmp(fiber.place) == 0) {
      _longjmp(scheduler_, 1);
    }
  }

  std::uint32_t shuffle(std::uint32_t bits, int lane_mask) {
    const unsigned thread = current_;
    const unsigned side =
        fibers_[thread].shuffles++ % 2;  // the next one must not overwrite this one
    slots_[side][thread] = bits;
    wait(State::kAtWarp);
    return slots_[side][thread ^ static_cast<unsigned>(lane_mask)];
  }

  bool any(bool value) {
    votes_[current_] = value;
    wait(State::kAtBlock);
    const bool result =
        std::any_of(votes_.begin(), votes_.begin() + threads_, [](bool v) { return v; });
    wait(State::kAtBlock);
    return result;
  }

 private:
  static void enter();

  void create() {
    Fiber& fiber = fibers_.emplace_back();
    fiber.stack = std::make_unique<char[]>(kStackBytes);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStackBytes;
    makecontext(&fiber.context, &Block::enter, 0);
  }

  void resume(Fiber& fiber) {
    if (_setjmp(scheduler_) != 0) {
      return;
    }
    if (fiber.entered) {
      _longjmp(fiber.place, 1);
    }
    fiber.entered = true;
    setcontext(&fiber.context);
  }

  bool all_at(unsigned begin, unsigned end, State state) const {
    return std::all_of(fibers_.begin() + begin, fibers_.begin() + end, [state](const Fiber& fiber) {
      return fiber.state == state;
    });
  }

  void set_ready(unsigned begin, unsigned end) {
    for (unsigned i = begin; i < end; ++i) {
      fibers_[i].state = State::kReady;
    }
  }

  /// Opens barriers that are complete.
  bool release() {
    bool opened = false;
    for (unsigned warp = 0; warp < threads_; warp += kWarp) {
      if (all_at(warp, warp + kWarp, State::kAtWarp)) {
        set_ready(warp, warp + kWarp);
        opened = true;
      }
    }
    if (all_at(0, threads_, State::kAtBlock)) {
      set_ready(0, threads_);
      opened = true;
    }
    return opened;
  }

  std::deque<Fiber> fibers_;  // never moved: they are jumped into
  std::array<std::array<std::uint32_t, 1024>, 2> slots_{};
  std::array<bool, 1024> votes_{};
  std::jmp_buf scheduler_{};
  const std::function<void()>* kernel_ = nullptr;
  unsigned threads_ = 0;
  unsigned current_ = 0;
};

Block& block() {
  static thread_local Block running;
  return running;
}

void Block::enter() {
  Block& running = block();
  while (true) {
    (*running.kernel_)();
    running.wait(State::kDone);
  }
}

}  // namespace

void run_grid(unsigned blocks, unsigned threads, const std::function<void()>& kernel) {
  static thread_local unsigned launches = 0;
  ++launches;
  for (unsigned i = 0; i < blocks; ++i) {
    block().run(i, threads, (i + launches) % 2 == 1, kernel);
  }
}

std::uint32_t shuffle(std::uint32_t bits, int lane_mask) {
  return block().shuffle(bits, lane_mask);
}
void warp_barrier() {
  block().wait(State::kAtWarp);
}
void block_barrier() {
  block().wait(State::kAtBlock);
}
bool block_any(bool value) {
  return block().any(value);
}

}  // namespace emulation

const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaErrorInvalidValue";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "invalid argument";
}
cudaError_t cudaGetLastError() {
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulation::kDevices;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return device >= 0 && device < emulation::kDevices ? cudaSuccess : cudaErrorInvalidValue;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {"CPU stand-in", 9, 0, 1, 1 << 20, std::size_t{1} << 30U};
  return cudaSetDevice(device);
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr /*attribute*/, int device) {
  *value = 1;
  return cudaSetDevice(device);
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

/// Fresh memory is NaN in every format: a kernel that reads what nobody wrote shows.
cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  *pointer = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (*pointer == nullptr) {
    return cudaErrorMemoryAllocation;
  }
  std::memset(*pointer, 0xff, bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* pointer) {
  std::free(pointer);
  return cudaSuccess;
}
cudaError_t cudaMemcpyAsync(
    void* to, const void* from, std::size_t bytes, cudaMemcpyKind /*kind*/, cudaStream_t /*s*/) {
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int byte, std::size_t bytes, cudaStream_t /*stream*/) {
  std::memset(to, byte, bytes);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  *stream = new CUstream_st;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t /*stream*/) {
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t /*stream*/,
                                cudaEvent_t /*event*/,
                                unsigned /*flags*/) {
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t /*stream*/) {
  event->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t /*event*/) {
  return cudaSuccess;
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}
