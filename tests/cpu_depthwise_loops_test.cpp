// The inner loops of the depthwise convolution, of every set of instructions that this machine has,
// against sums from the definition.
#include "support/random.h"

#include "../src/cpu/depthwise_loops.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

using cpu::DepthwiseLoops;
using cpu::kSlab;
using cpu::TapStrip;

using Numbers = std::vector<float>;

constexpr float kUnwritten = 77.0f;

Numbers random_numbers(Random& random, std::int64_t count) {
  Numbers numbers(static_cast<std::size_t>(count));
  for (float& number : numbers)
    number = random.uniform_float(-1.0f, 1.0f);
  return numbers;
}

float at(const Numbers& numbers, std::int64_t i) {
  return numbers[static_cast<std::size_t>(i)];
}

class CpuDepthwiseLoops : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    loops_ = name == "generic"     ? &cpu::kGenericDepthwiseLoops
             : name == "x86_64_v3" ? cpu::x86_64_v3_depthwise_loops()
                                   : cpu::x86_64_v4_depthwise_loops();
    if (loops_ == nullptr) GTEST_SKIP() << "this processor does not have it";
  }
  const DepthwiseLoops* loops_ = nullptr;
};
std::string instructions_name(const testing::TestParamInfo<const char*>& info) {
  return info.param;
}
INSTANTIATE_TEST_SUITE_P(Instructions, CpuDepthwiseLoops,
                         testing::Values("generic", "x86_64_v3", "x86_64_v4"), instructions_name);

/// Some strips of 1 to 7 taps each, and how many they have together.
struct Strips {
  std::vector<TapStrip> list;
  int taps = 0;
};
Strips random_strips(Random& random, std::int64_t step, std::int64_t rows) {
  Strips strips;
  const std::int64_t count = random.integer(0, 4);
  for (std::int64_t s = 0; s < count; ++s) {
    const int taps = static_cast<int>(random.integer(1, cpu::kStripTaps));
    strips.list.push_back(
        {random.integer(0, rows) * step + random.integer(0, 5), strips.taps, taps});
    strips.taps += taps;
  }
  return strips;
}

TEST_P(CpuDepthwiseLoops, ConvolveRows) {
  Random random(11);
  SCOPED_TRACE(random.trace());
  for (std::int64_t columns = 1; columns < 150; columns += columns < 40 ? 1 : 13) {
    const std::int64_t rows = random.integer(1, 23);
    const std::int64_t step = columns + random.integer(0, 9);
    const std::int64_t y_step = columns + random.integer(0, 3);
    const bool accumulate = random.chance(0.3);
    const Strips strips = random_strips(random, step, 3);
    const Numbers x = random_numbers(random, (rows + 20) * step + 5 + cpu::kDepthwiseRoom);
    const Numbers weights = random_numbers(random, strips.taps + 1);
    const Numbers before = random_numbers(random, rows * y_step + 1);
    Numbers y = before;
    const float start = 0.25f;
    loops_->convolve(
        x.data(), {strips.list.data(), static_cast<int>(strips.list.size()), step, weights.data()},
        rows, columns, {&start, accumulate, y.data(), y_step});
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(y.size()); ++i) {
      const std::int64_t row = i / y_step;
      if (row == rows || i % y_step >= columns) {
        ASSERT_EQ(at(y, i), at(before, i)) << "written beside the outputs";
        continue;
      }
      double expected = static_cast<double>(accumulate ? at(before, i) : start);
      for (const TapStrip& strip : strips.list) {
        for (int t = 0; t < strip.taps; ++t) {
          expected += static_cast<double>(at(weights, strip.first + t)) *
                      static_cast<double>(at(x, strip.offset + (row + t) * step + i % y_step));
        }
      }
      ASSERT_NEAR(static_cast<double>(at(y, i)), expected, 1e-5) << columns << " " << i;
    }
  }
}

/// A window of some rows and runs of taps, and the rows of its image that exist.
struct PixelProblem {
  cpu::PixelWindow window = {};
  std::vector<cpu::PixelRun> runs;
  int row_taps = 0;
  cpu::TapRows tap_rows = {};
  std::int64_t places = 0;
  Numbers storage;

  const float* x() const { return storage.data() - tap_rows.begin * window.row; }

  /// Calls visit(number of the weight, element of x) for what an output reads.
  template <class Visit>
  void for_each_tap(std::int64_t row, std::int64_t place, std::int64_t channel, Visit visit) const {
    for (int p = tap_rows.begin; p < tap_rows.end; ++p) {
      if (p < row || p - row >= window.tap_rows) continue;
      for (const cpu::PixelRun& run : runs) {
        for (int t = 0; t < run.taps; ++t) {
          const std::int64_t column = window.left + run.column + (place + t) * window.stride;
          if (column < 0 || column >= window.columns) continue;
          const std::int64_t weight =
              (p - row) * window.weight_row + run.weight + t * window.weight;
          visit(weight + channel, x()[p * window.row + column * window.channels + channel]);
        }
      }
    }
  }
};
/// With `square` a kernel of 3 x 3.
PixelProblem random_pixels(Random& random, std::int64_t places, int rows, bool square) {
  PixelProblem problem;
  cpu::PixelWindow& window = problem.window;
  problem.places = places;
  window.channels = random.integer(1, 40);
  window.stride = random.integer(1, 3);
  std::int64_t reach = 0;  // columns that an output reads
  for (std::int64_t r = square ? 1 : random.integer(1, 2); r > 0; --r) {
    const int taps = square ? 3 : static_cast<int>(random.integer(1, cpu::kStripTaps));
    const std::int64_t column = square ? 0 : random.integer(0, 3);
    problem.runs.push_back({column, problem.row_taps * window.channels, taps});
    problem.row_taps += taps;
    reach = std::max(reach, column + (taps - 1) * window.stride + 1);
  }
  window.runs = problem.runs.data();
  window.count = static_cast<int>(problem.runs.size());
  window.tap_rows = square ? 3 : static_cast<int>(random.integer(1, 4));
  window.weight = window.channels;
  window.weight_row = problem.row_taps * window.channels;
  window.left = random.integer(-reach, 2);
  const std::int64_t needed = window.left + (places - 1) * window.stride + reach;
  window.columns = std::max<std::int64_t>(1, needed - random.integer(0, reach));
  window.row = window.columns * window.channels;
  const int last = window.tap_rows + rows - 1;
  problem.tap_rows.begin = static_cast<int>(random.integer(0, last));
  problem.tap_rows.end = static_cast<int>(random.integer(problem.tap_rows.begin, last));
  // No more than the rows that exist: what lies beside them is not the test's memory.
  const std::int64_t count = problem.tap_rows.end - problem.tap_rows.begin;
  problem.storage = random_numbers(random, std::max<std::int64_t>(1, count * window.row));
  return problem;
}

TEST_P(CpuDepthwiseLoops, ConvolvePixels) {
  Random random(12);
  SCOPED_TRACE(random.trace());
  for (int repeat = 0; repeat < 300; ++repeat) {
    const int rows = static_cast<int>(random.integer(1, 9));
    const PixelProblem problem =
        random_pixels(random, random.integer(1, 30), rows, random.chance(0.5));
    const cpu::PixelWindow& window = problem.window;
    const Numbers weights = random_numbers(random, window.tap_rows * window.weight_row);
    const Numbers bias = random_numbers(random, window.channels);
    const std::int64_t y_row = problem.places * window.channels + 1;
    Numbers y(static_cast<std::size_t>(rows * y_row), kUnwritten);
    loops_->convolve_pixels(problem.x(), window, {problem.tap_rows, rows, y_row, problem.places},
                            weights.data(), bias.data(), y.data());
    for (std::int64_t i = 0; i < rows * y_row; ++i) {
      const std::int64_t place = i % y_row / window.channels;
      const std::int64_t c = i % y_row % window.channels;
      if (place == problem.places) {
        ASSERT_EQ(at(y, i), kUnwritten) << "written beside the outputs";
        continue;
      }
      double expected = static_cast<double>(at(bias, c));
      problem.for_each_tap(i / y_row, place, c, [&](std::int64_t weight, float x) {
        expected += static_cast<double>(at(weights, weight)) * static_cast<double>(x);
      });
      ASSERT_NEAR(static_cast<double>(at(y, i)), expected, 1e-5)
          << repeat << ": " << problem.places << " places, " << window.channels << " channels, "
          << i / y_row << " " << place << " " << c;
    }
  }
}

TEST_P(CpuDepthwiseLoops, CorrelatePixels) {
  Random random(18);
  SCOPED_TRACE(random.trace());
  for (int repeat = 0; repeat < 300; ++repeat) {
    const PixelProblem problem = random_pixels(random, random.integer(1, 30), 1, false);
    const cpu::PixelWindow& window = problem.window;
    const Numbers g = random_numbers(random, problem.places * window.channels);
    const std::int64_t weights = window.tap_rows * window.weight_row;
    Numbers sums(static_cast<std::size_t>(weights + window.channels), 0.5f);
    std::vector<double> expected(sums.begin(), sums.end());
    loops_->correlate_pixels(problem.x(), window, problem.tap_rows, g.data(), problem.places,
                             sums.data(), sums.data() + weights);
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(g.size()); ++i) {
      const auto gradient = static_cast<double>(at(g, i));
      const std::int64_t c = i % window.channels;
      expected[static_cast<std::size_t>(weights + c)] += gradient;
      problem.for_each_tap(0, i / window.channels, c, [&](std::int64_t weight, float x) {
        expected[static_cast<std::size_t>(weight)] += gradient * static_cast<double>(x);
      });
    }
    for (std::size_t k = 0; k < sums.size(); ++k)
      ASSERT_NEAR(static_cast<double>(sums[k]), expected[k], 1e-4) << repeat << ": " << k;
  }
}

TEST_P(CpuDepthwiseLoops, ConvolveLines) {
  Random random(17);
  SCOPED_TRACE(random.trace());
  for (std::int64_t places = 1; places < 50; ++places) {
    const std::int64_t count = random.integer(1, 3);
    const std::int64_t row_places = places + random.integer(0, 5);
    const bool accumulate = random.chance(0.3);
    const Strips strips = random_strips(random, row_places * kSlab, 2);
    const Numbers x =
        random_numbers(random, (count + 3) * row_places * kSlab + 16 * cpu::kDepthwiseRoom);
    const Numbers weights = random_numbers(random, (strips.taps + 1) * kSlab);
    const Numbers start = random_numbers(random, kSlab);
    const Numbers before = random_numbers(random, count * (places + 1) * kSlab);
    Numbers y = before;
    loops_->convolve_lines(
        x.data(), {strips.list.data(), static_cast<int>(strips.list.size()), kSlab, weights.data()},
        {count, places, row_places * kSlab, (places + 1) * kSlab},
        {start.data(), accumulate, y.data(), kSlab});
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(y.size()); ++i) {
      const std::int64_t row = i / kSlab / (places + 1);
      const std::int64_t place = i / kSlab % (places + 1);
      if (place == places) {
        ASSERT_EQ(at(y, i), at(before, i)) << "written beside the outputs";
        continue;
      }
      double expected = static_cast<double>(accumulate ? at(before, i) : at(start, i % kSlab));
      for (const TapStrip& strip : strips.list) {
        for (int t = 0; t < strip.taps; ++t) {
          expected += static_cast<double>(at(weights, (strip.first + t) * kSlab + i % kSlab)) *
                      static_cast<double>(
                          at(x, strip.offset + (row * row_places + place + t) * kSlab + i % kSlab));
        }
      }
      ASSERT_NEAR(static_cast<double>(at(y, i)), expected, 1e-5) << places << " " << i;
    }
  }
}

TEST_P(CpuDepthwiseLoops, Correlate) {
  Random random(13);
  SCOPED_TRACE(random.trace());
  for (const int lanes : {1, kSlab}) {
    for (const std::int64_t places : {1, 3, 16, 100, 5000}) {
      const int count = static_cast<int>(random.integer(1, 20));
      std::vector<std::int64_t> offsets;
      for (int t = 0; t < count; ++t)
        offsets.push_back(random.integer(0, 50) * lanes);
      const Numbers x = random_numbers(random, (places + 50 + cpu::kDepthwiseRoom) * lanes);
      Numbers g = random_numbers(random, places * lanes);
      g.resize(g.size() + static_cast<std::size_t>(cpu::kDepthwiseRoom * lanes), 0.0f);
      std::vector<double> sums(static_cast<std::size_t>(count * lanes), 0.5);
      (lanes == 1 ? loops_->correlate : loops_->correlate_slab)(x.data(), {offsets.data(), count},
                                                                places, g.data(), sums.data());
      for (int t = 0; t < count; ++t) {
        for (int k = 0; k < lanes; ++k) {
          double expected = 0.5;
          for (std::int64_t i = k; i < places * lanes; i += lanes) {
            expected += static_cast<double>(at(g, i)) *
                        static_cast<double>(at(x, offsets[static_cast<std::size_t>(t)] + i));
          }
          ASSERT_NEAR(sums[static_cast<std::size_t>(t * lanes + k)], expected, 2e-3);
        }
      }
    }
  }
}

TEST_P(CpuDepthwiseLoops, AddUp) {
  Random random(15);
  SCOPED_TRACE(random.trace());
  for (const int lanes : {1, kSlab}) {
    for (const std::int64_t places : {0, 1, 3, 16, 100, 40000}) {
      const Numbers g = random_numbers(random, places * lanes);
      std::vector<double> sums(static_cast<std::size_t>(lanes), 0.5);
      (lanes == 1 ? loops_->add_up : loops_->add_up_slab)(g.data(), places, sums.data());
      for (int k = 0; k < lanes; ++k) {
        double expected = 0.5;
        for (std::int64_t i = k; i < places * lanes; i += lanes)
          expected += static_cast<double>(at(g, i));
        ASSERT_NEAR(sums[static_cast<std::size_t>(k)], expected, 2e-3) << places;
      }
    }
  }
}

// Rows that end with the last column, as planes of a tensor do.
TEST_P(CpuDepthwiseLoops, InterleaveAndSeparate) {
  Random random(16);
  SCOPED_TRACE(random.trace());
  for (std::int64_t columns = 1; columns < 40; ++columns) {
    for (int count = 1; count <= kSlab; ++count) {
      const std::int64_t step = columns + random.integer(0, 3);
      const Numbers rows = random_numbers(random, (count - 1) * step + columns);
      Numbers slab(static_cast<std::size_t>(columns * kSlab + 1), kUnwritten);
      loops_->interleave(rows.data(), {step, count, columns}, slab.data());
      ASSERT_EQ(slab.back(), kUnwritten);
      for (std::int64_t i = 0; i < columns * kSlab; ++i) {
        const float expected = i % kSlab < count ? at(rows, i % kSlab * step + i / kSlab) : 0.0f;
        ASSERT_EQ(at(slab, i), expected) << columns << " " << count << " " << i;
      }
      Numbers back(rows.size(), kUnwritten);
      loops_->separate(slab.data(), {step, count, columns}, back.data());
      for (std::int64_t i = 0; i < static_cast<std::int64_t>(rows.size()); ++i) {
        ASSERT_EQ(at(back, i), i % step < columns ? at(rows, i) : kUnwritten)
            << columns << " " << count << " " << i;
      }
    }
  }
}

TEST_P(CpuDepthwiseLoops, CopyRows) {
  Random random(14);
  SCOPED_TRACE(random.trace());
  for (std::int64_t columns = 1; columns < 70; ++columns) {
    for (const std::int64_t stride : {1, 2}) {
      const std::int64_t rows = random.integer(1, 3);
      const std::int64_t from_step = stride * (columns - 1) + 1 + random.integer(0, 2);
      const std::int64_t to_step = columns + random.integer(0, 3);
      // It ends with the last column.
      const Numbers from =
          random_numbers(random, (rows - 1) * from_step + stride * (columns - 1) + 1);
      Numbers to(static_cast<std::size_t>(rows * to_step), kUnwritten);
      (stride == 1 ? loops_->copy : loops_->copy_even)(
          {from.data(), from_step, to.data(), to_step, rows, columns});
      for (std::int64_t i = 0; i < rows * to_step; ++i) {
        const std::int64_t column = i % to_step;
        const float expected =
            column < columns ? at(from, i / to_step * from_step + stride * column) : kUnwritten;
        ASSERT_EQ(at(to, i), expected) << columns << " " << i;
      }
    }
  }
}

// Planes and outputs have no more memory than they need, so a checker of memory sees what is read
// beside them.
TEST(CpuDepthwiseEvenPlane, MatchesTheDefinition) {
  const DepthwiseLoops* const loops = cpu::x86_64_v4_depthwise_loops();
  if (loops == nullptr) GTEST_SKIP() << "this processor does not have AVX-512";
  Random random(19);
  SCOPED_TRACE(random.trace());
  for (int repeat = 0; repeat < 300; ++repeat) {
    cpu::PlaneWindow window = {};
    window.rows = random.integer(1, 30);
    window.columns = random.integer(1, 90);
    window.outputs = random.integer(1, 50);
    window.tap_rows = static_cast<int>(random.integer(1, 7));
    window.taps = static_cast<int>(random.integer(1, cpu::kPlaneTaps));
    window.top = random.integer(-5, 3);
    window.left = random.integer(-9, 5);
    window.row = random.integer(1, 3);
    window.tap_row = random.integer(1, 3);
    const std::int64_t begin = random.integer(0, 3);
    const std::int64_t end = begin + random.integer(0, 11);
    const Numbers x = random_numbers(random, window.rows * window.columns);
    const Numbers weights = random_numbers(random, window.tap_rows * window.taps);
    const float bias = 0.25f;
    Numbers y(static_cast<std::size_t>(end * window.outputs), kUnwritten);
    loops->convolve_even_plane(x.data(), window, {begin, end}, weights.data(), bias, y.data());
    for (std::int64_t i = 0; i < end * window.outputs; ++i) {
      const std::int64_t row = i / window.outputs;
      const std::int64_t column = i % window.outputs;
      if (row < begin) {
        ASSERT_EQ(at(y, i), kUnwritten) << "written above the rows";
        continue;
      }
      auto expected = static_cast<double>(bias);
      for (std::int64_t p = 0; p < window.tap_rows; ++p) {
        for (std::int64_t q = 0; q < window.taps; ++q) {
          const std::int64_t x_row = window.top + row * window.row + p * window.tap_row;
          const std::int64_t x_column = window.left + 2 * column + q;
          if (x_row < 0 || x_row >= window.rows || x_column < 0 || x_column >= window.columns) {
            continue;
          }
          expected += static_cast<double>(at(weights, p * window.taps + q)) *
                      static_cast<double>(at(x, x_row * window.columns + x_column));
        }
      }
      ASSERT_NEAR(static_cast<double>(at(y, i)), expected, 1e-5)
          << repeat << ": " << window.taps << " taps, row " << row << ", column " << column;
    }
  }
}

}  // namespace
}  // namespace cudet::test
