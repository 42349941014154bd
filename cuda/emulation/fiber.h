// A stack of its own that runs a function, again and again, and can stop in the middle of it.
#pragma once

#include <cstddef>

#include <boost/context/fiber.hpp>

namespace cudet::emulation {

class Fiber {
 public:
  using Body = void (*)(void* argument);

  // The body must not throw.
  Fiber(Body body, void* argument);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the body, from its start or from where it suspended, until it suspends or returns.
  // `race_context` is who the body is to ThreadSanitizer until it is resumed under another one.
  void resume(void* race_context);

  // Called in the body: back to who resumed it.
  void suspend();

 private:
  void run_forever();

  Body body_;
  void* argument_;
  boost::context::fiber inside_;   // the body, while it does not run
  boost::context::fiber outside_;  // who resumed it, while it runs
  const void* stack_bottom_ = nullptr;
  std::size_t stack_size_ = 0;

  // AddressSanitizer keeps locals of a stack in a second one; these follow the switches.
  void* inside_fake_stack_ = nullptr;
  const void* outside_stack_bottom_ = nullptr;
  std::size_t outside_stack_size_ = 0;
  void* outside_race_context_ = nullptr;
};

}  // namespace cudet::emulation
