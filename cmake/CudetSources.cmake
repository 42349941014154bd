# The sources of the library, listed once: cudet compiles the kernels with nvcc, cudet_emulated
# compiles them with the host compiler.

# Host side: argument checks, plans, references, the CPU mode. The same with and without kernels.
set(cudet_host_sources
    src/box_loss_check.cpp
    src/box_regression_loss.cpp
    src/check.cpp
    src/cpu/box_columns.cpp
    src/cpu/box_loops_generic.cpp
    src/cpu/box_loops_x86_64_v3.cpp
    src/cpu/box_losses.cpp
    src/cpu/depthwise_conv.cpp
    src/cpu/depthwise_conv_backward.cpp
    src/cpu/depthwise_image.cpp
    src/cpu/depthwise_epilogue.cpp
    src/cpu/depthwise_lines.cpp
    src/cpu/depthwise_pixels.cpp
    src/cpu/depthwise_planes.cpp
    src/cpu/depthwise_loops_generic.cpp
    src/cpu/depthwise_loops_x86_64_v3.cpp
    src/cpu/depthwise_loops_x86_64_v4.cpp
    src/cpu/focal_loops_generic.cpp
    src/cpu/focal_loops_x86_64_v3.cpp
    src/cpu/focal_loops_x86_64_v4.cpp
    src/cpu/focal_loss_sigmoid.cpp
    src/cpu/focal_loss_softmax.cpp
    src/cpu/iou.cpp
    src/cpu/matching.cpp
    src/cpu/nms.cpp
    src/cpu/nms_candidates.cpp
    src/cpu/parallel.cpp
    src/cpu/real_block.cpp
    src/depthwise_conv.cpp
    src/depthwise_conv_backward.cpp
    src/depthwise_conv_backward_plan.cpp
    src/depthwise_conv_check.cpp
    src/depthwise_conv_fold.cpp
    src/depthwise_conv_plan.cpp
    src/focal_loss.cpp
    src/focal_loss_check.cpp
    src/iou.cpp
    src/iou_check.cpp
    src/iou_loss.cpp
    src/matching.cpp
    src/nms.cpp
    src/nms_check.cpp
    src/nms_plan.cpp
    src/reference/box_regression_loss.cpp
    src/reference/depthwise_conv.cpp
    src/reference/depthwise_conv_backward.cpp
    src/reference/focal_loss.cpp
    src/reference/iou.cpp
    src/reference/iou_loss.cpp
    src/reference/match_output.cpp
    src/reference/matching.cpp
    src/reference/nms.cpp
    src/reference/nms_candidates.cpp
    src/reference/nms_methods.cpp
    src/status.cpp
    src/tensor.cpp)

# What says which kernels there are.
set(cudet_variant_sources src/version.cpp)

# Kernels that both understand.
set(cudet_kernel_sources
    cuda/box_regression_loss.cu
    cuda/depthwise_conv.cu
    cuda/depthwise_conv_backward.cu
    cuda/depthwise_conv_backward_data.cu
    cuda/depthwise_conv_backward_weight.cu
    cuda/depthwise_conv_channels.cu
    cuda/depthwise_conv_planes.cu
    cuda/depthwise_conv_rows.cu
    cuda/depthwise_conv_tiles.cu
    cuda/focal_loss.cu
    cuda/iou.cu
    cuda/iou_loss.cu
    cuda/matching.cu
    cuda/nms.cu)

# What only nvcc compiles, the same functions for the emulated device, and for no device at all.
set(cudet_cuda_only_sources cuda/sort.cu)
set(cudet_emulation_only_sources cuda/emulation/sort.cpp)
set(cudet_unavailable_sources cuda/unavailable.cpp)

foreach(list IN ITEMS host variant kernel cuda_only emulation_only unavailable)
  list(TRANSFORM cudet_${list}_sources PREPEND "${PROJECT_SOURCE_DIR}/")
endforeach()
