#include "nms_candidates.h"

#include "../float16.h"
#include "parallel.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace cudet::cpu {
namespace {

using reference::ImageRange;
using reference::NmsCall;

/// Greater scores have smaller keys. The number is in the lower half, so that keys are unique.
std::uint64_t sort_key(float score, std::int64_t number) {
  const std::uint32_t bits = bits_of(score + 0.0f);  // -0 becomes 0
  const std::uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return (static_cast<std::uint64_t>(~ascending) << 32) | static_cast<std::uint64_t>(number);
}

/// Sorts by the bits from `first_bit` on, 11 at a time, the lowest first; digits that all keys
/// share cost one look.
void radix_sort(std::vector<std::uint64_t>& keys, int first_bit) {
  constexpr int kDigitBits = 11;
  constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;
  std::vector<std::uint64_t> sorted(keys.size());
  for (int bit = first_bit; bit < 64; bit += kDigitBits) {
    const auto digit = [bit](std::uint64_t key) {
      return static_cast<std::size_t>(key >> bit) % kDigits;
    };
    std::array<std::size_t, kDigits> places = {};
    for (const std::uint64_t key : keys)
      ++places[digit(key)];
    if (places[digit(keys.front())] == keys.size()) continue;
    std::size_t place = 0;
    for (std::size_t& entry : places)
      place += std::exchange(entry, place);
    for (const std::uint64_t key : keys)
      sorted[places[digit(key)]++] = key;
    keys.swap(sorted);
  }
}

bool passes(float score, const NmsScoreThreshold& threshold) {
  return score > threshold.value || (threshold.inclusive && score == threshold.value);
}

/// Scores in a row that are looked at together. Few of a head's scores pass, so that most blocks
/// are done with one look, in vectors.
constexpr std::int64_t kBlock = 32;

/// Keys of the `count` scores, which have the numbers `number`, `number` + `step` ... and pass.
void append_keys(std::vector<std::uint64_t>& keys, const NmsScoreThreshold& threshold,
                 const float* scores, std::int64_t count, std::int64_t number, std::int64_t step) {
  for (std::int64_t block = 0; block < count; block += kBlock) {
    const std::int64_t end = std::min(count, block + kBlock);
    if (end == block + kBlock) {
      int found = 0;
      for (std::int64_t k = block; k < block + kBlock; ++k)
        found |= static_cast<int>(scores[k] >= threshold.value);
      if (found == 0) continue;
    }
    for (std::int64_t k = block; k < end; ++k) {
      if (passes(scores[k], threshold)) keys.push_back(sort_key(scores[k], number + k * step));
    }
  }
}

/// The same of 16-bit scores.
template <class Convert>
void append_keys(std::vector<std::uint64_t>& keys, const NmsScoreThreshold& threshold,
                 const std::uint16_t* scores, std::int64_t count, std::int64_t number,
                 std::int64_t step, const Convert& convert) {
  constexpr std::int64_t kConverted = 8 * kBlock;
  float converted[kConverted];
  for (std::int64_t first = 0; first < count; first += kConverted) {
    const std::int64_t part = std::min(kConverted, count - first);
    std::transform(scores + first, scores + first + part, converted, convert);
    append_keys(keys, threshold, converted, part, number + first * step, step);
  }
}

/// Scores in a row in memory: `count` from element `first` on, with the numbers `number`, `number`
/// + `step` ...
struct ScoreRow {
  std::int64_t first, count, number, step;
};

void append_keys(std::vector<std::uint64_t>& keys, const NmsScoreThreshold& threshold,
                 const Tensor& scores, const ScoreRow& row) {
  switch (scores.type()) {
    case DataType::float16:
      return append_keys(keys, threshold, scores.data_as<std::uint16_t>() + row.first, row.count,
                         row.number, row.step, float16_to_float);
    case DataType::bfloat16:
      return append_keys(keys, threshold, scores.data_as<std::uint16_t>() + row.first, row.count,
                         row.number, row.step, bfloat16_to_float);
    default:
      return append_keys(keys, threshold, scores.data_as<float>() + row.first, row.count,
                         row.number, row.step);
  }
}

/// All scores of an image, by increasing number where the layout has them so.
std::vector<ScoreRow> score_rows(const NmsCall& call, const ImageRange& image) {
  constexpr std::int64_t kScores = 1 << 16;  // in a row that a thread takes
  const NmsShape& shape = call.shape;
  std::vector<ScoreRow> rows;
  if (shape.dense && call.options.score_layout == ScoreLayout::class_box) {
    for (std::int64_t c = 0; c < shape.classes; ++c) {
      rows.push_back({(image.index * shape.classes + c) * shape.n, image.boxes, c, shape.classes});
    }
    return rows;
  }
  const std::int64_t count = image.boxes * shape.classes;
  for (std::int64_t number = 0; number < count; number += kScores) {
    rows.push_back(
        {image.first_box * shape.classes + number, std::min(kScores, count - number), number, 1});
  }
  return rows;
}

std::vector<std::uint64_t> keys_of_image(const NmsCall& call, const ImageRange& image,
                                         int threads) {
  const NmsScoreThreshold threshold = raw_score_threshold(call.options);
  const std::vector<ScoreRow> rows = score_rows(call, image);
  std::vector<std::vector<std::uint64_t>> keys_of_row(rows.size());
  parallel_for(threads, static_cast<std::int64_t>(rows.size()), 1,
               [&](std::int64_t begin, std::int64_t) {
                 const auto i = static_cast<std::size_t>(begin);
                 append_keys(keys_of_row[i], threshold, call.input.scores, rows[i]);
               });
  if (keys_of_row.size() == 1) return std::move(keys_of_row.front());
  std::vector<std::uint64_t> keys;
  for (const std::vector<std::uint64_t>& more : keys_of_row)
    keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

void remove_background(std::vector<std::uint64_t>& keys, const NmsCall& call,
                       const ImageRange& image) {
  const std::int64_t background = call.options.background_class;
  const bool flat = call.input.classes.present();
  if (background == NmsOptions::kNoClass || !(call.shape.dense || flat)) return;
  const auto is_background = [&](std::uint64_t key) {
    const std::int64_t number = static_cast<std::uint32_t>(key);
    const std::int64_t class_id =
        flat ? reference::integer_at(call.input.classes, image.first_box + number)
             : number % call.shape.classes;
    return class_id == background;
  };
  keys.erase(std::remove_if(keys.begin(), keys.end(), is_background), keys.end());
}

}  // namespace

std::vector<std::uint32_t> visiting_order(const NmsCall& call, const ImageRange& image,
                                          int threads) {
  constexpr std::size_t kFewKeys = 256;  // whose sorting by comparison is as fast
  std::vector<std::uint64_t> keys = keys_of_image(call, image, threads);
  remove_background(keys, call, image);
  const auto top_k = static_cast<std::size_t>(call.shape.top_k);
  const bool selected = keys.size() > top_k;
  if (selected) {
    std::nth_element(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(top_k), keys.end());
    keys.resize(top_k);
  }
  if (keys.size() <= kFewKeys) {
    std::sort(keys.begin(), keys.end());
  } else {
    const bool by_number =
        !selected && !(call.shape.dense && call.options.score_layout == ScoreLayout::class_box);
    radix_sort(keys, by_number ? 32 : 0);
  }
  std::vector<std::uint32_t> numbers;
  numbers.reserve(keys.size());
  for (const std::uint64_t key : keys)
    numbers.push_back(static_cast<std::uint32_t>(key));
  return numbers;
}

}  // namespace cudet::cpu
