// All of cudet in one include.
#pragma once

#include <cudet/box.h>
#include <cudet/execution.h>
#include <cudet/focal_loss.h>
#include <cudet/iou.h>
#include <cudet/nms.h>
#include <cudet/status.h>
#include <cudet/tensor.h>
#include <cudet/version.h>
