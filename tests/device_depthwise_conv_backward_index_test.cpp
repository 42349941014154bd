// Images that lie more than 2^32 elements apart: the kernels of the gradients find them, which no
// test with that many elements could show in time. On the emulated device alone, which reads memory
// of the host: the pages between the images are never touched and take no room.
#include <gtest/gtest.h>

#if defined(CUDET_EMULATED)

#include "../cuda/depthwise_conv_backward_generic_kernels.cuh"
#include "../cuda/depthwise_conv_backward_kernels.h"
#include "../cuda/launch.h"
#include "support/random.h"

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cudet::test {
namespace {

using device::GradientSource;

constexpr int kImages = 2, kChannels = 2, kRows = 6, kColumns = 8, kKernel = 3;
constexpr std::size_t kImage = std::size_t{kChannels} * kRows * kColumns;
constexpr std::size_t kWeights = std::size_t{kChannels} * kKernel * kKernel;
constexpr std::size_t kFar = (std::size_t{1} << 32) + 64;

/// Two images of float32, `distance` elements apart.
class Images {
 public:
  explicit Images(std::size_t distance) : distance_(distance) {
    void* const memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory != MAP_FAILED) data_ = static_cast<float*>(memory);
    EXPECT_NE(data_, nullptr);
  }
  Images(const Images&) = delete;
  Images& operator=(const Images&) = delete;
  ~Images() {
    if (data_ != nullptr) munmap(data_, bytes());
  }
  float* data() const { return data_; }
  float& at(std::size_t image, std::size_t element) { return data_[image * distance_ + element]; }

 private:
  std::size_t bytes() const { return ((kImages - 1) * distance_ + kImage) * sizeof(float); }

  std::size_t distance_;
  float* data_ = nullptr;
};

/// All gradients of one call, by kernels that are launched without the host side.
struct Gradients {
  std::vector<float> x;       ///< of the window or generic kernel
  std::vector<float> weight;  ///< and of the bias
  std::vector<float> passed;  ///< g, as the activation kernel gives it

  bool operator==(const Gradients& other) const {
    return x == other.x && weight == other.weight && passed == other.passed;
  }
};

template <class Parameters>
void run(void (*kernel)(Parameters), unsigned blocks, int threads, const Parameters& parameters) {
  device::LaunchConfig config = {};
  config.grid = dim3(blocks);
  config.block = dim3(static_cast<unsigned>(threads));
  const Status status = device::launch("test", "launching", kernel, config, nullptr, parameters);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

device::DepthwiseGeometry geometry_of(bool channels_last, std::size_t distance) {
  const auto far = static_cast<long long>(distance);
  device::DepthwiseGeometry geometry = {};
  geometry.x = channels_last ? device::ImageStrides{far, 1, kColumns * kChannels, kChannels}
                             : device::ImageStrides{far, kRows * kColumns, kColumns, 1};
  geometry.y = geometry.x;
  geometry.weight_channel = channels_last ? 1 : kKernel * kKernel;
  geometry.weight_tap = channels_last ? kChannels : 1;
  geometry.n = kImages;
  geometry.channels = geometry.out_channels = kChannels;
  geometry.multiplier = 1;
  geometry.h = geometry.oh = kRows;
  geometry.w = geometry.ow = kColumns;
  geometry.kernel_h = geometry.kernel_w = kKernel;
  geometry.stride_h = geometry.stride_w = geometry.dilation_h = geometry.dilation_w = 1;
  geometry.pad_top = geometry.pad_left = 1;
  return geometry;
}

Gradients gradients_of(bool channels_last, bool generic, std::size_t distance) {
  Random random(631);
  Images x(distance), grad_output(distance), grad_x(distance), passed(distance);
  std::vector<float> weight(kWeights);
  for (std::size_t image = 0; image < kImages; ++image) {
    for (std::size_t i = 0; i < kImage; ++i) {
      x.at(image, i) = random.uniform_float(-1.0f, 1.0f);
      grad_output.at(image, i) = random.uniform_float(-1.0f, 1.0f);
    }
  }
  for (float& tap : weight)
    tap = random.uniform_float(-1.0f, 1.0f);
  const device::DepthwiseGeometry geometry = geometry_of(channels_last, distance);
  const GradientSource source = {grad_output.data(), nullptr, false, Activation::none, 0.0f};
  constexpr unsigned kPairs = (kChannels + 1) / 2;  // of channels, where a thread has two
  const device::ElementGrid grid = {kImage, 1};     // the second image comes in the kernels' loop
  const device::WindowKind kind = {DataType::float32, kKernel, 1, channels_last};
  Gradients result;

  if (generic) {
    const GradientSource activated = {grad_output.data(), nullptr, false, Activation::silu, 0.0f};
    run(device::activation_gradient_kernel<float>, 1, device::kGenericThreads,
        device::GradientPassParameters{geometry, activated, grid, x.data(), weight.data(), nullptr,
                                       DataType::float32, passed.data()});
    run(device::generic_grad_x_kernel<float>, 1, device::kGenericThreads,
        device::GenericGradXParameters{geometry, source, grid, weight.data(), grad_x.data(), 1, 1,
                                       1, 1});
  } else {
    const unsigned threads = (channels_last ? kPairs : kChannels) * kColumns / 4;
    run(device::window_grad_x(kind), 1, device::kGradXThreads,
        device::GradXParameters{geometry, source, weight.data(), grad_x.data(), threads, 1, kRows,
                                1, kColumns / 4, 0, 0, !channels_last});
  }

  const unsigned groups = channels_last ? 1 : kChannels;
  const unsigned group_channels = !channels_last ? 1 : generic ? 32 : 2 * kPairs;
  std::vector<float> partials(2 * 32 * (kKernel * kKernel + 1));
  std::vector<unsigned> arrived(kChannels);
  result.weight.resize(kWeights + kChannels);
  const device::WeightReduction reduction = {partials.data(),
                                             arrived.data(),
                                             result.weight.data(),
                                             result.weight.data() + kWeights,
                                             DataType::float32,
                                             DataType::float32,
                                             groups,
                                             1,
                                             group_channels};
  const long long share = kImages * (generic ? kRows : kColumns / 4);
  const device::GradWeightParameters parameters = {
      geometry, source, x.data(), reduction, share, kRows, 1, kColumns / 4, 2, !channels_last};
  run(!generic        ? device::window_grad_weight(kind)
      : channels_last ? device::generic_grad_weight_kernel<float, true>
                      : device::generic_grad_weight_kernel<float, false>,
      groups, device::kGenericThreads, parameters);

  for (std::size_t image = 0; image < kImages; ++image) {
    for (std::size_t i = 0; i < kImage; ++i) {
      result.x.push_back(grad_x.at(image, i));
      result.passed.push_back(passed.at(image, i));
    }
  }
  return result;
}

TEST(DeviceDepthwiseBackwardIndex, FindsImagesFarApart) {
  for (const bool channels_last : {false, true}) {
    for (const bool generic : {false, true}) {
      const Gradients near = gradients_of(channels_last, generic, kImage);
      EXPECT_NE(near.x.back(), 0.0f);
      EXPECT_NE(near.weight.back(), 0.0f);
      EXPECT_TRUE(gradients_of(channels_last, generic, kFar) == near)
          << channels_last << " " << generic;
    }
  }
}

}  // namespace
}  // namespace cudet::test

#endif
