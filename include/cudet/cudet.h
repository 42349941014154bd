// All of cudet in one include.
#pragma once

#include <cudet/box.h>
#include <cudet/box_regression_loss.h>
#include <cudet/depthwise_conv.h>
#include <cudet/depthwise_conv_fold.h>
#include <cudet/execution.h>
#include <cudet/focal_loss.h>
#include <cudet/iou.h>
#include <cudet/iou_loss.h>
#include <cudet/loss_reduction.h>
#include <cudet/matching.h>
#include <cudet/nms.h>
#include <cudet/status.h>
#include <cudet/tensor.h>
#include <cudet/version.h>
