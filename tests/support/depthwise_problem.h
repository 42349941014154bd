// Calls of the depthwise convolution and its gradients: inputs, options and results in host memory.
#pragma once

#include "host_tensor.h"
#include "oracle.h"
#include "random.h"
#include "tolerance.h"

#include <cudet/depthwise_conv.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {

/// Sizes of a call with random numbers; padding is that of the options.
struct DepthwiseSizes {
  std::int64_t n = 1, c = 1, h = 1, w = 1;
  std::int64_t kernel_h = 3, kernel_w = 3;
  std::int64_t multiplier = 1;
};

/// A call of depthwise_conv() and of its gradients; absent tensors are not given.
struct DepthwiseProblem {
  DepthwiseConvOptions options;
  HostTensor x, weight, bias, scales, residual;
  HostTensor grad_output, pre_activation;  ///< backward alone

  DataType type() const { return x.type(); }
  DepthwiseConvInput input() const;
  DepthwiseConvBackwardInput backward_input() const;
  std::vector<std::int64_t> output_shape() const;
  std::string describe() const;
};

/// Which outputs a forward call gets, and their types.
struct DepthwiseOutputs {
  bool y = true, pre_activation = false, pool = false;
  DataType y_type = DataType::float32;  ///< with int8 alone
  DataType pool_type = DataType::float32;
};

struct DepthwiseResult {
  HostTensor y, pre_activation, pool;
  DepthwiseConvOutput output();
};
DepthwiseResult make_result(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs = {});

/// Which gradients a backward call gets, and the type of those of weight and bias.
struct DepthwiseWanted {
  bool grad_x = true, grad_weight = true, grad_bias = true;
  DataType weight_type = DataType::float32;
};

struct DepthwiseGradients {
  HostTensor grad_x, grad_weight, grad_bias;
  DepthwiseConvBackwardOutput output();
};
DepthwiseGradients make_gradients(const DepthwiseProblem& problem,
                                  const DepthwiseWanted& wanted = {});

/// Uniform numbers in [-1, 1) for all but scales, in [0.001, 0.01) where x is int8. `with_residual`
/// is left out for int8.
DepthwiseProblem random_problem(Random& random, DataType type, const DepthwiseConvOptions& options,
                                const DepthwiseSizes& sizes, bool with_bias = true,
                                bool with_residual = false);

/// Adds a random gradient of y and, where `saved`, the pre-activation that the reference computes.
void add_gradient(Random& random, DepthwiseProblem& problem, bool saved = false);

/// Padding with which a stride of 1 keeps the size, the odd one at the bottom and right.
DepthwiseConvOptions with_same_padding(DepthwiseConvOptions options, const DepthwiseSizes& sizes);

/// What the reference gives, checked for success; all of float32, from inputs that were rounded to
/// their type, so that results are to be rounded once more.
DepthwiseResult reference_result(const DepthwiseProblem& problem,
                                 const DepthwiseOutputs& outputs = {});
DepthwiseGradients reference_gradients(const DepthwiseProblem& problem,
                                       const DepthwiseWanted& wanted = {});

/// What the CPU mode gives, checked for success.
DepthwiseResult cpu_result(const DepthwiseProblem& problem, const DepthwiseOutputs& outputs = {},
                           int threads = 2);
DepthwiseGradients cpu_gradients(const DepthwiseProblem& problem,
                                 const DepthwiseWanted& wanted = {}, int threads = 2);

/// Each element within the error that float32 sums in any order may have, and the rounding to the
/// type that it is stored in, of `got` and of what the CPU mode gives. int8 results may be off by
/// one where the quotient lies between two.
void expect_near(const DepthwiseResult& got, const DepthwiseProblem& problem,
                 const DepthwiseOutputs& outputs = {});
void expect_near(const DepthwiseGradients& got, const DepthwiseProblem& problem,
                 const DepthwiseWanted& wanted = {});

/// The call of an oracle case (tests/data/oracle/depthwise), without its activation.
DepthwiseProblem depthwise_problem_of(const OracleCase& oracle_case);

/// Sets the activation of a case; false where the library does not have it.
bool set_activation(const OracleCase& oracle_case, DepthwiseConvOptions& options);

}  // namespace cudet::test
