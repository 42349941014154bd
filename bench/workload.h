// What gpu_bench runs: a named workload builds a case, which is checked and then timed.
#pragma once

#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cudet::bench {

class Device;

/// Outcome of comparing a result with what it must be.
struct Check {
  bool passed = false;
  std::string text;                  ///< one or two words for the table, for example "= reference"
  std::string detail;                ///< what is wrong, empty where nothing is
  std::optional<std::int64_t> kept;  ///< boxes kept, over all images; none where that says nothing
};

/// Inputs and outputs of one workload, ready to run on the device that it was built for. Inputs on
/// the device come from Device::input_of, and their pointers are asked for in every run, so that
/// calls may be given copies that no cache holds.
class Case {
 public:
  virtual ~Case() = default;

  /// Overwrites the outputs on the device, so that a call that writes nothing is found out.
  virtual void poison_outputs() = 0;

  /// The call that is measured: enqueues work on the device.
  virtual Status run() = 0;

  /// The same by cudet::reference, on the host.
  virtual Status run_reference() = 0;

  /// The same by Execution::cpu(), on the host, into the results of run_reference().
  virtual Status run_cpu() { return none("this workload has no call of the CPU mode"); }

  /// The same by a plain implementation of the usual design, on the device, into the outputs of
  /// run(): something to compare with.
  virtual Status run_baseline() { return none("this workload has no baseline"); }

  /// Compares what run() left on the device with what run_reference() left on the host, and with
  /// the official result where there is one.
  virtual Check check() = 0;

  /// The same after run_baseline(), which may leave out or round differently what it is free to.
  virtual Check check_baseline() { return check(); }

  /// Bytes that every implementation must read or write: inputs once, outputs once.
  virtual double compulsory_bytes() const = 0;

  /// Arithmetic operations that every implementation must do, a fused multiply-add being two; 0
  /// where there is no such number that does not depend on the algorithm.
  virtual double operations() const { return 0.0; }

  /// For --explain: which kernel was chosen and why, how much it does; may be of several lines.
  virtual std::string explanation() const { return std::string(); }

 private:
  static Status none(const char* what) {
    return Status::error(StatusCode::unsupported, "%s", what);
  }
};

struct Workload {
  std::string name;                   ///< for example "nms/yolo"; what --filter looks at
  std::string description;            ///< one line for --list
  std::string shape;                  ///< for example "1 x 8400"
  DataType type = DataType::float32;  ///< of what there is most of; what --dtype looks at
  std::size_t host_bytes = 0;         ///< memory that the case takes on the host, roughly
  std::size_t device_bytes = 0;       ///< and on the device
  bool in_quick_run = true;
  std::string obstacle;  ///< why it cannot be built at all, empty where it can
  std::function<std::unique_ptr<Case>(Device&)> build;
};

std::vector<Workload> depthwise_conv_workloads();
std::vector<Workload> depthwise_conv_backward_workloads();
std::vector<Workload> focal_loss_workloads();
std::vector<Workload> iou_workloads();
std::vector<Workload> matching_workloads();
std::vector<Workload> nms_workloads();

/// The workloads of `directory`/index.json. Throws std::runtime_error where that cannot be read.
std::vector<Workload> real_workloads(const std::string& directory);

}  // namespace cudet::bench
