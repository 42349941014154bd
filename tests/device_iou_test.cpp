// iou_matrix() on a device against the reference.
#include <cudet/iou.h>

#include "support/device.h"
#include "support/iou_case.h"
#include "support/oracle.h"
#include "support/tolerance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

struct ByteOffsets {
  std::size_t boxes1 = 0, boxes2 = 0, values = 0;
};

/// A problem on the device, with its output.
class DeviceProblem {
 public:
  explicit DeviceProblem(const IouProblem& problem, const ByteOffsets& offsets = {})
      : options_(problem.options),
        boxes1_(problem.boxes1, offsets.boxes1),
        boxes2_(problem.boxes2, offsets.boxes2),
        values_(HostTensor(problem.value_type, problem.value_shape()), offsets.values) {}

  Status enqueue(cudaStream_t stream) const {
    return iou_matrix(options_, {boxes1_.const_tensor(), boxes2_.const_tensor()},
                      {values_.tensor()}, Execution::cuda(stream));
  }
  void upload(const IouProblem& problem) {
    boxes1_.upload(problem.boxes1);
    boxes2_.upload(problem.boxes2);
  }
  void poison() { values_.poison(); }
  HostTensor values() const { return values_.download(); }

 private:
  IouMatrixOptions options_;
  DeviceTensor boxes1_;
  DeviceTensor boxes2_;
  DeviceTensor values_;
};

HostTensor device_iou_matrix(const IouProblem& problem, const ByteOffsets& offsets = {}) {
  DeviceProblem on_device(problem, offsets);
  HostTensor values;
  run_in_mode(
      StreamMode::default_stream, [&](cudaStream_t stream) { return on_device.enqueue(stream); },
      [&] { on_device.poison(); }, [&] { values = on_device.values(); });
  return values;
}

/// In its range for the kind; a zero of IoU and IoF has no sign.
bool is_in_range(IouKind kind, float value) {
  if (kind == IouKind::iou || kind == IouKind::iof) {
    return value >= 0.0f && value <= 1.0f && !std::signbit(value);
  }
  const float lowest = kind == IouKind::ciou ? -2.0f : kind == IouKind::eiou ? -3.0f : -1.0f;
  return value >= lowest && value <= 1.0f;
}

/// Every value within the tolerance of its type, where one is promised, and in its range; the CPU
/// mode gives the same bits.
void expect_near_reference(const IouProblem& problem, const HostTensor& values) {
  ASSERT_EQ(values.shape(), problem.value_shape());
  IouProblem exact = problem;
  exact.value_type = DataType::float32;
  const std::vector<float> expected = reference_iou_matrix(exact).reals();
  const Tolerance tolerance = tolerance_of(problem.value_type);
  int differences = 0;
  std::size_t p = 0;
  for (std::int64_t b = 0; b < problem.batch(); ++b) {
    for (std::int64_t i = 0; i < problem.n(); ++i) {
      for (std::int64_t j = 0; j < problem.m(); ++j, ++p) {
        const float got = values.real(p);
        const bool near = is_near(double{got}, double{expected[p]}, tolerance) ||
                          !accuracy_is_promised(problem, b, i, j);
        if (near && is_in_range(problem.options.kind, got)) continue;
        if (++differences <= 5) {
          ADD_FAILURE() << "[" << b << ", " << i << ", " << j << "] got " << got << ", expected "
                        << expected[p];
        }
      }
    }
  }
  EXPECT_EQ(differences, 0) << problem.describe();
  HostTensor on_cpu(problem.value_type, problem.value_shape());
  ASSERT_TRUE(
      iou_matrix(problem.options, problem.input(), {on_cpu.tensor()}, Execution::cpu(2)).ok());
  EXPECT_TRUE(same_bits(on_cpu, values)) << problem.describe() << ", the CPU against the device";
}

IouMatrixOptions options_of(IouKind kind, BoxFormat format = BoxFormat::xyxy,
                            bool legacy_offset = false, float eps = 1e-7f) {
  IouMatrixOptions options;
  options.kind = kind;
  options.format = format;
  options.legacy_offset = legacy_offset;
  options.eps = eps;
  return options;
}

class DeviceIouOracle : public testing::TestWithParam<std::string> {};

TEST_P(DeviceIouOracle, Agrees) {
  const OracleCase oracle = load_case("iou_pairwise", GetParam());
  const auto format_name = oracle.parameter<std::string>("fmt");
  const auto format = *std::find_if(std::begin(kBoxFormats), std::end(kBoxFormats),
                                    [&](BoxFormat f) { return format_name == to_string(f); });
  for (const IouKind kind : kIouKinds) {
    if (kind == IouKind::eiou) continue;  // the oracle has no such kind
    SCOPED_TRACE(to_string(kind));
    const std::string name = kind == IouKind::iof ? "inter_over_area1" : to_string(kind);
    IouProblem problem;
    problem.options = options_of(kind, format, false, oracle.parameter<float>("eps_diou_ciou"));
    problem.boxes1 = HostTensor::of_reals(DataType::float32, {1, oracle.input("boxes1").size(0), 4},
                                          oracle.input("boxes1").values<float>());
    problem.boxes2 = HostTensor::of_reals(DataType::float32, {1, oracle.input("boxes2").size(0), 4},
                                          oracle.input("boxes2").values<float>());
    std::vector<double> expected = oracle.output(name).values<double>();
    // Where the oracle divides 0 by 0 the reference, which has its own test, says what is right.
    const HostTensor reference_values = reference_iou_matrix(problem);
    for (std::size_t p = 0; p < expected.size(); ++p)
      if (std::isnan(expected[p])) expected[p] = double{reference_values.real(p)};
    EXPECT_TRUE(all_near(device_iou_matrix(problem).reals(), expected, oracle.tolerance(name)));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, DeviceIouOracle, testing::ValuesIn(list_cases("iou_pairwise")),
                         case_test_name);

TEST(DeviceIou, SizesAroundTheTiles) {
  Random random(101);
  SCOPED_TRACE(random.trace());
  const std::vector<std::int64_t> sizes = {0,  1,  2,  3,  4,   5,   31,  32,
                                           33, 63, 64, 65, 127, 128, 129, 513};
  const std::vector<std::int64_t> batches = {1, 3};
  std::size_t number = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    // Every n meets five m, and every m five n.
    for (const std::size_t step : {0u, 1u, 4u, 7u, 11u}) {
      const IouSize size = {batches[number % 2], sizes[i], sizes[(i + step) % sizes.size()]};
      const IouMatrixOptions options =
          options_of(kIouKinds[number % 6], kBoxFormats[number % 3], number % 7 == 0);
      const auto distribution = static_cast<BoxDistribution>(number % kBoxDistributions);
      const IouProblem problem = random_iou_problem(
          random, size, distribution, options, DataType::float32, kRealDataTypes[number / 3 % 3]);
      expect_near_reference(problem, device_iou_matrix(problem));
      ++number;
    }
  }
}

TEST(DeviceIou, EmptyBatch) {
  Random random(102);
  const IouProblem problem =
      random_iou_problem(random, {0, 5, 4}, BoxDistribution::uniform, options_of(IouKind::iou));
  EXPECT_EQ(device_iou_matrix(problem).count(), 0u);
}

TEST(DeviceIou, EveryKindTypeAndFormat) {
  Random random(103);
  SCOPED_TRACE(random.trace());
  int number = 0;
  for (const IouKind kind : kIouKinds) {
    for (const BoxFormat format : kBoxFormats) {
      for (const bool legacy_offset : {false, true}) {
        for (const DataType box_type : kRealDataTypes) {
          // 36 columns are written four at a time, 37 one at a time.
          const IouSize size = {2, 5, number % 2 == 0 ? 36 : 37};
          IouProblem problem =
              random_iou_problem(random, size, BoxDistribution::special,
                                 options_of(kind, format, legacy_offset), box_type);
          const DataType other_type = kRealDataTypes[number++ % 3];
          problem.boxes2 =
              HostTensor::of_reals(other_type, problem.boxes2.shape(), problem.boxes2.reals());
          const HostTensor values = device_iou_matrix(problem);
          expect_near_reference(problem, values);
          for (const DataType value_type : {DataType::float16, DataType::bfloat16}) {
            problem.value_type = value_type;
            EXPECT_TRUE(same_bits(device_iou_matrix(problem),
                                  HostTensor::of_reals(value_type, values.shape(), values.reals())))
                << problem.describe();
          }
        }
      }
    }
  }
}

TEST(DeviceIou, EveryByteOffset) {
  Random random(104);
  SCOPED_TRACE(random.trace());
  for (const DataType type : kRealDataTypes) {
    const auto step = static_cast<std::size_t>(size_of(type));
    for (const std::int64_t m : {8, 131, 132}) {
      const IouProblem problem = random_iou_problem(random, {2, 3, m}, BoxDistribution::clustered,
                                                    options_of(IouKind::giou), type, type);
      const HostTensor expected = device_iou_matrix(problem);
      expect_near_reference(problem, expected);
      for (std::size_t offset = step; offset < 16; offset += step) {
        for (const ByteOffsets& offsets :
             {ByteOffsets{offset, 0, 0}, ByteOffsets{0, offset, 0}, ByteOffsets{0, 0, offset},
              ByteOffsets{offset, 16 - offset, offset}}) {
          EXPECT_TRUE(same_bits(device_iou_matrix(problem, offsets), expected))
              << problem.describe() << ", offsets " << offsets.boxes1 << " " << offsets.boxes2
              << " " << offsets.values;
        }
      }
    }
  }
}

class DeviceIouStream : public testing::TestWithParam<StreamMode> {};

TEST_P(DeviceIouStream, GivesTheSameBits) {
  Random random(105);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouKinds) {
    for (const DataType type : kRealDataTypes) {
      const IouProblem problem = random_iou_problem(random, {2, 67, 133}, BoxDistribution::special,
                                                    options_of(kind), type, type);
      const HostTensor expected = device_iou_matrix(problem);
      DeviceProblem on_device(problem);
      int checks = 0;
      run_in_mode(
          GetParam(), [&](cudaStream_t stream) { return on_device.enqueue(stream); },
          [&] { on_device.poison(); },
          [&] {
            ++checks;
            EXPECT_TRUE(same_bits(on_device.values(), expected)) << problem.describe();
          });
      EXPECT_GE(checks, 1);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, DeviceIouStream, testing::ValuesIn(kStreamModes),
                         [](const testing::TestParamInfo<StreamMode>& mode) {
                           return std::string(to_string(mode.param));
                         });

TEST(DeviceIou, GraphReadsItsInputsAnew) {
  Random random(106);
  SCOPED_TRACE(random.trace());
  const IouSize size = {1, 33, 40};
  const IouMatrixOptions options = options_of(IouKind::diou);
  const IouProblem first = random_iou_problem(random, size, BoxDistribution::uniform, options);
  const IouProblem second = random_iou_problem(random, size, BoxDistribution::special, options);
  DeviceProblem on_device(first);
  Graph graph([&](cudaStream_t stream) { return on_device.enqueue(stream); });
  for (const IouProblem* problem : {&first, &second, &first}) {
    on_device.upload(*problem);
    on_device.poison();
    graph.launch();
    EXPECT_TRUE(same_bits(on_device.values(), device_iou_matrix(*problem)));
  }
}

TEST(DeviceIou, RepeatsItsBits) {
  Random random(107);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouKinds) {
    const IouProblem problem =
        random_iou_problem(random, {1, 130, 257}, BoxDistribution::clustered, options_of(kind));
    const HostTensor first = device_iou_matrix(problem);
    for (int repeat = 0; repeat < 3; ++repeat)
      EXPECT_TRUE(same_bits(device_iou_matrix(problem), first));
  }
}

TEST(DeviceIou, ValueDependsOnItsPairAlone) {
  Random random(108);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouKinds) {
    IouProblem problem =
        random_iou_problem(random, {1, 70, 140}, BoxDistribution::special, options_of(kind));
    const HostTensor values = device_iou_matrix(problem);
    // The same pairs in other places, and with rows and columns exchanged where the kind is
    // symmetric.
    const std::vector<std::int64_t> order = random.permutation(140);
    const std::vector<float> boxes2 = problem.boxes2.reals();
    for (std::size_t j = 0; j < 140; ++j)
      for (std::size_t k = 0; k < 4; ++k)
        problem.boxes2.set_real(4 * j + k, boxes2[4 * static_cast<std::size_t>(order[j]) + k]);
    const HostTensor permuted = device_iou_matrix(problem);
    std::swap(problem.boxes1, problem.boxes2);
    const HostTensor transposed = device_iou_matrix(problem);
    for (std::size_t i = 0; i < 70; ++i) {
      for (std::size_t j = 0; j < 140; ++j) {
        const float expected = values.real(140 * i + static_cast<std::size_t>(order[j]));
        ASSERT_EQ(permuted.real(140 * i + j), expected) << to_string(kind);
        if (kind != IouKind::iof) {
          ASSERT_EQ(transposed.real(70 * j + i), expected) << to_string(kind);
        }
      }
    }
  }
}

TEST(DeviceIou, DoesNotDependOnTheUnitOfLength) {
  Random random(109);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouKinds) {
    const IouProblem problem = random_iou_problem(random, {1, 25, 28}, BoxDistribution::clustered,
                                                  options_of(kind, BoxFormat::xyxy, false, 0.0f));
    const HostTensor values = device_iou_matrix(problem);
    for (const float scale : {0x1p-20f, 0.25f, 0x1p40f}) {
      IouProblem other = problem;
      for (HostTensor* boxes : {&other.boxes1, &other.boxes2})
        for (std::size_t k = 0; k < boxes->count(); ++k)
          boxes->set_real(k, scale * boxes->real(k));
      EXPECT_TRUE(same_bits(device_iou_matrix(other), values)) << to_string(kind);
    }
  }
}

TEST(DeviceIou, InvalidBoxes) {
  for (const IouKind kind : kIouKinds) {
    for (const BoxFormat format : kBoxFormats) {
      for (const bool legacy_offset : {false, true}) {
        const std::vector<BoxNumbers> invalid = invalid_boxes(format);
        std::vector<BoxNumbers> partners = {{0, 0, 100, 100},
                                            {20, 30, 20, 30},
                                            {0, 0, 0, 0},
                                            {-0x1p61f, -0x1p61f, 0x1p61f, 0x1p61f}};
        partners.insert(partners.end(), invalid.begin(), invalid.end());
        for (const float eps : {0.0f, 1e-7f}) {
          const IouMatrixOptions options = options_of(kind, format, legacy_offset, eps);
          for (const IouProblem& problem : {make_iou_problem(options, invalid, partners),
                                            make_iou_problem(options, partners, invalid)}) {
            const HostTensor values = device_iou_matrix(problem);
            for (std::size_t p = 0; p < values.count(); ++p)
              ASSERT_EQ(values.real(p), invalid_iou_value(kind)) << problem.describe() << " " << p;
          }
        }
      }
    }
  }
}

TEST(DeviceIou, BoxesWithoutArea) {
  const std::vector<BoxNumbers> boxes = {
      {5, 5, 5, 5},  {0, 0, 0, 0},   {3, 4, 3, 4},    {3, 0, 3, 0},     {0, 5, 10, 5},
      {5, 0, 5, 10}, {0, 0, 10, 10}, {10, 0, 20, 10}, {10, 10, 20, 20}, {-0.0f, -0.0f, 0.0f, 0.0f}};
  for (const IouKind kind : kIouKinds) {
    for (const float eps : {0.0f, 1e-7f, 1.0f}) {
      const IouProblem problem =
          make_iou_problem(options_of(kind, BoxFormat::xyxy, false, eps), boxes, boxes);
      expect_near_reference(problem, device_iou_matrix(problem));
    }
  }
}

TEST(DeviceIou, IdenticalBoxesAreExactlyOne) {
  Random random(110);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouKinds) {
    IouProblem problem =
        random_iou_problem(random, {1, 50, 50}, BoxDistribution::clustered, options_of(kind));
    problem.boxes2 = problem.boxes1;
    const HostTensor values = device_iou_matrix(problem);
    for (std::size_t i = 0; i < 50; ++i)
      EXPECT_EQ(values.real(51 * i), 1.0f) << to_string(kind);
  }
}

TEST(DeviceIou, FarFromTheOriginAndFarFromOne) {
  // Coordinates whose sums and products round, in boxes of all magnitudes.
  Random random(111);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : kIouKinds) {
    for (const double magnitude : {1e-6, 1.0, 1e6, 1e18}) {
      for (const double distance : {0.0, 100.0, 1e5}) {
        std::vector<BoxNumbers> boxes;
        for (int i = 0; i < 60; ++i) {
          const double x = random.uniform(0.0, 1.0) + distance;
          const double y = random.uniform(0.0, 1.0) - distance;
          const double w = std::pow(10.0, random.uniform(-2.0, 0.3));
          const double h = std::pow(10.0, random.uniform(-2.0, 0.3));
          boxes.push_back({static_cast<float>(magnitude * x), static_cast<float>(magnitude * y),
                           static_cast<float>(magnitude * (x + w)),
                           static_cast<float>(magnitude * (y + h))});
        }
        const IouProblem problem = make_iou_problem(options_of(kind), boxes, boxes);
        expect_near_reference(problem, device_iou_matrix(problem));
      }
    }
  }
}

TEST(DeviceIou, AlignedPairsAreTheDiagonal) {
  Random random(112);
  SCOPED_TRACE(random.trace());
  int number = 0;
  for (const IouKind kind : kIouKinds) {
    for (const DataType type : kRealDataTypes) {
      const IouMatrixOptions options = options_of(kind, kBoxFormats[number % 3], number % 2 == 1);
      const std::int64_t n = number % 4 == 0 ? 1 : 255 + number % 3;
      const auto count = static_cast<std::size_t>(n);
      IouProblem problem = random_iou_problem(random, {1, n, n}, BoxDistribution::special, options,
                                              type, kRealDataTypes[number / 2 % 3]);
      const HostTensor matrix = device_iou_matrix(problem);
      const auto steps = static_cast<std::size_t>(number++ % 4);
      const std::size_t offset = steps * static_cast<std::size_t>(size_of(type));
      const DeviceTensor boxes1(problem.boxes1, offset), boxes2(problem.boxes2, offset);
      DeviceTensor values(HostTensor(problem.value_type, {n}), 4 * steps);
      HostTensor on_host(problem.value_type, {n});
      const auto view = [&](const Tensor& boxes) {
        return Tensor(boxes.data(), boxes.type(), 2, boxes.shape() + 1, nullptr, true);
      };
      const HostTensor expected_matrix = reference_iou_matrix(problem);
      ASSERT_TRUE(reference::iou_pairs(
                      options,
                      {view(problem.boxes1.const_tensor()), view(problem.boxes2.const_tensor())},
                      {on_host.tensor()})
                      .ok());
      for (const StreamMode mode : kStreamModes) {
        run_in_mode(
            mode,
            [&](cudaStream_t stream) {
              return iou_pairs(options, {view(boxes1.tensor()), view(boxes2.tensor())},
                               {values.tensor()}, Execution::cuda(stream));
            },
            [&] { values.poison(); },
            [&] {
              const HostTensor got = values.download();
              for (std::size_t i = 0; i < count; ++i)
                ASSERT_EQ(got.real(i), matrix.real(i * count + i))
                    << problem.describe() << " " << i;
            });
      }
      for (std::size_t i = 0; i < count; ++i)
        ASSERT_EQ(on_host.real(i), expected_matrix.real(i * count + i)) << problem.describe();
      on_host.poison();
      ASSERT_TRUE(
          iou_pairs(options,
                    {view(problem.boxes1.const_tensor()), view(problem.boxes2.const_tensor())},
                    {on_host.tensor()}, Execution::cpu(2))
              .ok());
      EXPECT_TRUE(same_bits(on_host, values.download())) << problem.describe();
    }
  }
}

TEST(DeviceIou, RefusesMoreTilesThanAGridHasBlocks) {
  // Addresses that nobody reads, far enough apart for these shapes.
  const auto tensor = [](std::uintptr_t address, std::initializer_list<std::int64_t> shape) {
    return Tensor(reinterpret_cast<float*>(address), shape);
  };
  const std::int64_t batch = std::int64_t{1} << 31;
  const IouMatrixInput input = {tensor(std::uintptr_t{1} << 40, {batch, 1, 4}),
                                tensor(std::uintptr_t{1} << 41, {batch, 1, 4})};
  const IouMatrixOutput output = {tensor(std::uintptr_t{1} << 42, {batch, 1, 1})};
  const Status status = iou_matrix({}, input, output, Execution::cuda(nullptr));
  EXPECT_EQ(status.code(), StatusCode::unsupported);
  EXPECT_STREQ(status.message(),
               "iou_matrix: values must have at most 2147483647 tiles of 64 x 128 for a device "
               "call, got 2147483648");
}

}  // namespace
}  // namespace cudet::test
