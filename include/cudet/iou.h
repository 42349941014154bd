// Overlap of boxes: intersection over union and its relatives, for all pairs of two sets and
// for pairs that are given.
#pragma once

#include <cudet/box.h>
#include <cudet/execution.h>
#include <cudet/status.h>
#include <cudet/tensor.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Of two boxes with the areas A1 and A2, the intersection I and the union U = A1 + A2 - I, whose
/// smallest enclosing box has the area C and the squared diagonal c2:
///
///   iou   I / U
///   iof   I / A1, intersection over foreground
///   giou  IoU - (C - U) / C                       Rezatofighi et al. 2019, arXiv:1902.09630
///   diou  IoU - d2 / (c2 + eps)                   Zheng et al. 2020, arXiv:1911.08287;
///         d2 is the squared distance of the centres
///   ciou  DIoU - alpha v                          same paper;
///         v = 4 / pi^2 (atan(w2 / h2) - atan(w1 / h1))^2, alpha = v / (1 - IoU + v + eps)
///   eiou  DIoU - (w1 - w2)^2 / (cw^2 + eps) - (h1 - h2)^2 / (ch^2 + eps)
///         Zhang et al. 2021, arXiv:2101.08158; cw and ch are the sides of the enclosing box
enum class IouKind : std::int32_t { iou, iof, giou, diou, ciou, eiou };

/// Name of the kind as it is spelled in the enumeration, for example "giou".
CUDET_API const char* to_string(IouKind kind) noexcept;

struct IouMatrixOptions {
  IouKind kind = IouKind::iou;                ///< With rotated boxes iou or iof.
  BoxFormat format = BoxFormat::xyxy;         ///< Of both sets; see box.h.
  bool legacy_offset = false;                 ///< Width and height count one more; see box.h.
  AngleUnit angle_unit = AngleUnit::degrees;  ///< Of rotated boxes.
  AngleDirection angle_direction = AngleDirection::counter_clockwise;  ///< Likewise.
  float eps = 1e-7f;       ///< In DIoU, CIoU and EIoU as above, finite and >= 0; torchvision's.
  float threshold = 0.5f;  ///< Of IouMatrixOutput::bits; not NaN.
};

/// Boxes have 4 numbers or, rotated, 5. Either set is batched or ragged: then the boxes of all
/// images lie one image after the other, and offsets say where each image begins.
struct IouMatrixInput {
  Tensor boxes1;  ///< [batch, n, 4] or ragged [n, 4]; float32, float16 or bfloat16
  Tensor boxes2;  ///< [batch, m, 4] or ragged [boxes, 4]; likewise
  /// [batch + 1], int32 or int64, given where the set is ragged: image b has the boxes offsets[b]
  /// to offsets[b + 1] - 1. Read on the device. An offset out of the set is moved to the nearest
  /// end, and where the second is below the first the image has no boxes; where images share boxes
  /// of boxes1, the values are unspecified.
  Tensor offsets1 = {};
  Tensor offsets2 = {};  ///< Likewise, of boxes2.
  /// Optional, [batch, m] or ragged [boxes], uint8: 1 marks a box of boxes2 as a crowd, with which
  /// kind iou gives I / A1, as COCO's evaluation does with its iscrowd. Upright boxes and kind iou
  /// only.
  Tensor crowds = {};
};

/// Either is optional, but not both. With ragged boxes1 their first dimension, batch, falls away,
/// and n counts the boxes of all images.
struct IouMatrixOutput {
  /// [batch, n, m], float32, float16 or bfloat16; must not overlap an input. With ragged boxes2 m
  /// is any number: of an image with more boxes the first m take part, and of one with fewer the
  /// rest of the row holds the value of an invalid box.
  Tensor values;
  /// [batch, n, ceil(m / 32)], int32: bit j % 32 of word j / 32 of a row is set where the value of
  /// column j, in float32, is above the threshold. With ragged boxes2 and no values, m is 32 times
  /// the number of words. Bits beyond m are 0.
  Tensor bits = {};
};

/// Bytes of device workspace that iou_matrix() needs; always 0 at present. Reads shapes and types
/// only. Pure host arithmetic. Errors as iou_matrix(), for the options and inputs.
CUDET_API Status iou_matrix_workspace_size(const IouMatrixOptions& options,
                                           const IouMatrixInput& input,
                                           std::size_t* bytes) noexcept;

/// values[b, i, j] = kind(boxes1[b, i], boxes2[b, j]).
///
/// Arithmetic   float32, one rounding an operation; one more into a 16-bit output.
/// Accuracy     |error| <= 1e-6 + 1e-5 |value| against exact arithmetic on the float32 corners, and
///              half a unit in the last place more for a 16-bit output. This holds where no side of
///              the boxes and of their enclosing box lies between 0 and 2^-50 (8.9e-16), and eps is
///              at most 2^126: the area of a smaller box may underflow and count as 0. Of rotated
///              boxes 1e-5, for IoF times the larger area / A1.
/// Special      U = 0: IoU 0. A1 = 0: IoF 0. C = 0: the term (C - U) / C is 0. With eps = 0 also
/// values       d2 / c2 and alpha are 0 where their denominator is. atan(w / 0) = pi / 2, and
///              atan(0 / 0) = 0; the terms of EIoU likewise. With an invalid box (box.h) IoU and
///              IoF are 0, and the other kinds are -1. IoU and IoF lie in [0, 1] always; no value
///              is NaN.
/// Determinism  Same input, same bits, on every device and in every run. All kinds but IoF are
///              symmetric to the bit.
/// Empty input  batch, n or m of 0 succeeds and writes nothing; the data pointer of a tensor
///              without elements may be null.
/// Stream       Work is only enqueued, one launch; captured graphs may be replayed on changed
///              inputs, offsets among them.
/// Threads      Safe to call from any number of host threads.
/// Errors       invalid_argument: a tensor is absent or has the wrong shape, type or alignment, an
///              output is read-only or overlaps another tensor, no output is given, eps is negative
///              or not finite, the threshold is NaN, an enumerator is out of range or does not go
///              with the format. unsupported: a tensor is not contiguous, values has 2^31 tiles of
///              64 x 128 or more in a device call, or the device call is not in this build.
///              cuda_error: a launch failed. out_of_memory: the host's, on the CPU.
CUDET_API Status iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                            const IouMatrixOutput& output, const Execution& execution) noexcept;

struct IouPairsInput {
  Tensor boxes1;  ///< [n, 4] or, rotated, [n, 5]; float32, float16 or bfloat16
  Tensor boxes2;  ///< [n, 4], likewise
};

struct IouPairsOutput {
  Tensor values;  ///< [n], float32, float16 or bfloat16; must not overlap an input
};

/// values[i] = kind(boxes1[i], boxes2[i]): pairs that are given, with options (but for the
/// threshold), arithmetic and everything else as iou_matrix() has them. The values are the same to
/// the bit. No workspace. The limit of a device call is 2^31 blocks of 256 pairs.
CUDET_API Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                           const IouPairsOutput& output, const Execution& execution) noexcept;

namespace reference {

/// The same from the definition, in double, on host pointers.
CUDET_API Status iou_matrix(const IouMatrixOptions& options, const IouMatrixInput& input,
                            const IouMatrixOutput& output) noexcept;
CUDET_API Status iou_pairs(const IouMatrixOptions& options, const IouPairsInput& input,
                           const IouPairsOutput& output) noexcept;

}  // namespace reference
}  // namespace cudet
