#include "fiber.h"

#include <memory>
#include <utility>

#include <boost/context/protected_fixedsize_stack.hpp>

#include "sanitizers.h"

namespace cudet::emulation {
namespace {

// Kernels have small frames; the sanitizers make them several times larger. A guard page below
// turns an overflow into a fault.
constexpr std::size_t kStackSize = (kAddressSanitizer || kThreadSanitizer ? 256 : 64) * 1024;

}  // namespace

Fiber::Fiber(Body body, void* argument) : body_(body), argument_(argument) {
  boost::context::protected_fixedsize_stack allocator(kStackSize);
  const boost::context::stack_context stack = allocator.allocate();
  stack_size_ = kStackSize;
  stack_bottom_ = static_cast<const char*>(stack.sp) - stack_size_;
  inside_ = boost::context::fiber(
      std::allocator_arg, boost::context::preallocated(stack.sp, stack.size, stack), allocator,
      [this](boost::context::fiber&& outside) {
        outside_ = std::move(outside);
        finish_stack_switch(nullptr, &outside_stack_bottom_, &outside_stack_size_);
        run_forever();
        return boost::context::fiber();
      });
}

void Fiber::run_forever() {
  for (;;) {
    body_(argument_);
    suspend();
  }
}

void Fiber::resume(void* race_context) {
  outside_race_context_ = current_race_context();
  void* fake_stack = nullptr;
  start_stack_switch(&fake_stack, stack_bottom_, stack_size_);
  switch_race_context(race_context);
  inside_ = std::move(inside_).resume();
  finish_stack_switch(fake_stack, nullptr, nullptr);
}

void Fiber::suspend() {
  start_stack_switch(&inside_fake_stack_, outside_stack_bottom_, outside_stack_size_);
  switch_race_context(outside_race_context_);
  outside_ = std::move(outside_).resume();
  finish_stack_switch(inside_fake_stack_, &outside_stack_bottom_, &outside_stack_size_);
}

}  // namespace cudet::emulation
