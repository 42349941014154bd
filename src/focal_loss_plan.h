// What the focal losses derive from options and shapes before anything runs: checked sizes, how the
// work is cut into pieces, and where the parts of the workspace lie. Pure host arithmetic.
#pragma once

#include <cudet/focal_loss.h>

#include <cstddef>
#include <cstdint>

namespace cudet {

/// Sizes of one level, checked.
struct FocalLevelShape {
  std::int64_t elements = 0;
  std::int64_t image_anchors = 0;  ///< head: B A; B A C where C is unknown
  std::int64_t positions = 0;      ///< head: H W
};
struct SigmoidFocalShape {
  FocalLevelShape levels[SigmoidFocalLossInput::kMaxLevels];
  std::int64_t classes = 0;   ///< C; 0 where nothing tells it, and nothing needs it
  std::int64_t elements = 0;  ///< of all levels
};

struct SoftmaxShape {
  std::int64_t rows = 0;
  std::int64_t classes = 0;
};

/// Check everything but outputs and execution; the first bad argument decides. `with_data` = false
/// looks at options and at shapes and types of logits and targets alone.
Status check_sigmoid_input(const SigmoidFocalLossOptions& options,
                           const SigmoidFocalLossInput& input, bool with_data,
                           SigmoidFocalShape* shape) noexcept;
Status check_softmax_input(const SoftmaxFocalLossOptions& options,
                           const SoftmaxFocalLossInput& input, bool with_data,
                           SoftmaxShape* shape) noexcept;
Status check_distribution_input(const DistributionFocalLossOptions& options,
                                const DistributionFocalLossInput& input, bool with_data,
                                SoftmaxShape* shape) noexcept;

Status check_sigmoid_output(const SigmoidFocalLossOptions& options,
                            const SigmoidFocalLossInput& input,
                            const SigmoidFocalLossOutput& output) noexcept;
Status check_softmax_output(const SoftmaxFocalLossOptions& options,
                            const SoftmaxFocalLossInput& input,
                            const SoftmaxFocalLossOutput& output) noexcept;
Status check_distribution_output(const DistributionFocalLossOptions& options,
                                 const DistributionFocalLossInput& input,
                                 const DistributionFocalLossOutput& output) noexcept;

/// Elements that one warp adds up: 64 of each lane. The sum's tree hangs on this number and on the
/// shape alone, neither on the device nor on the size of a block.
inline constexpr std::int64_t kFocalChunk = 2048;

/// The same in the head layout, a warp's tile of one anchor's neighbouring positions, 16 bytes of
/// logits a lane, and of its classes.
inline std::int64_t focal_head_positions(DataType type) {
  return 32 * 16 / size_of(type);
}
inline std::int64_t focal_head_classes(DataType type) {
  return kFocalChunk / focal_head_positions(type);
}

/// Partial sums that one warp adds up in the second stage.
inline constexpr std::int64_t kFocalGroup = 1024;

inline constexpr int kFocalBlockThreads = 256;
inline constexpr int kFocalHeadBlockThreads = 512;  ///< at most

/// What a warp has added up, written and read at once.
struct FocalPartial {
  float sum;
  std::uint32_t count;
};

/// Where the parts of a two-stage sum lie in the workspace.
struct FocalReductionPlan {
  std::int64_t partials = 0;  ///< one a warp of the first stage
  std::int64_t groups = 0;
  std::size_t sums = 0;          ///< FocalPartial [partials]
  std::size_t group_sums = 0;    ///< float64 [groups]
  std::size_t group_counts = 0;  ///< int64 [groups]
  std::size_t arrived = 0;       ///< uint32, blocks that have stored their partial sums
  std::size_t workspace_bytes = 0;
};

struct SigmoidFocalPlan {
  SigmoidFocalShape shape;
  /// Nothing but the class of an element decides about its loss: no soft targets, no weights of
  /// rows or classes, no smoothing, no loss or upstream gradient of each element.
  bool plain = false;
  /// Chunks of the levels before, and of all levels at the end.
  std::int64_t first_chunk[SigmoidFocalLossInput::kMaxLevels + 1] = {};
  FocalReductionPlan reduction;
  /// Head layout, where plain: tiles that the classes of an anchor make. Chunks of the same
  /// positions follow each other.
  std::int64_t class_tiles = 1;
  int block_threads = kFocalBlockThreads;
};

struct SoftmaxPlan {
  SoftmaxShape shape;
  int row_lane_bits = 0;     ///< log2 of the lanes that share a row; a block's worth is one tile
  int classes_per_lane = 0;  ///< places in a lane's registers; 0: loops over memory
  std::int64_t tile_rows = 0;
  std::int64_t tiles = 0;
  bool staged = true;           ///< tiles go through shared memory
  bool padded = false;          ///< 16 bytes more after every 128 of a tile
  std::int64_t tile_bytes = 0;  ///< of shared memory, where staged
  FocalReductionPlan reduction;
};

bool is_plain(const SigmoidFocalLossOptions& options, const SigmoidFocalLossInput& input,
              const SigmoidFocalLossOutput& output, const SigmoidFocalShape& shape) noexcept;

/// Fail where a size exceeds what the kernels index. The workspace does not depend on `plain`.
Status make_sigmoid_plan(const SigmoidFocalShape& shape, DataType type, FocalLayout layout,
                         bool plain, SigmoidFocalPlan* plan) noexcept;
/// `hard` says that a row has one target, without smoothing.
Status make_softmax_plan(const char* operation, const SoftmaxShape& shape, DataType type, bool hard,
                         SoftmaxPlan* plan) noexcept;

}  // namespace cudet
