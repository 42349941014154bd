#include "depthwise_planes.h"

#include "depthwise_epilogue.h"
#include "depthwise_groups.h"
#include "parallel.h"

#include <algorithm>
#include <cstdint>

namespace cudet::cpu {

bool suits_planes(const DepthwiseConvShape& shape, const DepthwiseConvOutput& output) noexcept {
  // In narrower planes too few lanes of a block are outputs.
  constexpr std::int64_t kFewestColumns = 8;
  return depthwise_loops().convolve_even_plane != nullptr && shape.layout == ImageLayout::nchw &&
         shape.type == DataType::float32 && shape.dilation_w == 1 && shape.stride_w == 2 &&
         shape.kernel_w <= kPlaneTaps && shape.ow >= kFewestColumns && output.y.present();
}

void convolve_planes(const DepthwiseConvShape& shape, const DepthwiseConvOptions& options,
                     const DepthwiseConvInput& input, const DepthwiseConvOutput& output,
                     int threads) {
  const PlaneWindow window = {shape.h,
                              shape.w,
                              shape.ow,
                              static_cast<int>(shape.kernel_h),
                              static_cast<int>(shape.kernel_w),
                              -shape.pad_top,
                              -shape.pad_left,
                              shape.stride_h,
                              shape.dilation_h};
  const float* const x = input.x.data_as<const float>();
  const float* const weights = input.weight.data_as<const float>();
  const float* const bias = input.bias.present() ? input.bias.data_as<const float>() : nullptr;
  float* const y = output.y.data_as<float>();
  const DepthwiseEpilogue epilogue(shape, options, input, output);
  const std::int64_t taps = shape.kernel_h * shape.kernel_w;
  const std::int64_t plane = shape.oh * shape.ow;
  const std::int64_t rows = rows_of_band(shape, output, 1);
  const std::int64_t bands = (shape.oh + rows - 1) / rows;
  const auto run_item = [&](std::int64_t item) {
    const std::int64_t number = item / bands;
    const std::int64_t channel = number % shape.out_channels();
    const std::int64_t begin = item % bands * rows;
    const std::int64_t end = std::min(begin + rows, shape.oh);
    depthwise_loops().convolve_even_plane(
        x + number / shape.multiplier * shape.h * shape.w, window, {begin, end},
        weights + channel * taps, bias == nullptr ? 0.0f : bias[channel], y + number * plane);
    epilogue.run_in_place(number * plane + begin * shape.ow, (end - begin) * shape.ow);
    if (output.pool.present()) {
      double sum = 0.0;
      depthwise_loops().add_up(y + number * plane, plane, &sum);
      reference::store_real(output.pool, number,
                            static_cast<float>(sum / static_cast<double>(plane)));
    }
  };
  const std::int64_t items = shape.n * shape.out_channels() * bands;
  parallel_for(threads, items, stretch_of(shape, items, threads),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t item = begin; item < end; ++item)
                   run_item(item);
               });
}

}  // namespace cudet::cpu
