// iou_matrix() and iou_pairs() on a device for rotated boxes, ragged sets, crowds and bits: the
// bits of the CPU mode, and near the reference.
#include <cudet/iou.h>

#include "support/device.h"
#include "support/iou_case.h"
#include "support/iou_form.h"
#include "support/tolerance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

struct Results {
  HostTensor values, bits;
};

/// A form on the device, with its outputs.
class DeviceForm {
 public:
  explicit DeviceForm(const IouForm& form, std::size_t steps = 0)
      : options_(form.options),
        boxes1_(form.boxes1, steps * element(form.boxes1)),
        boxes2_(form.boxes2, steps * element(form.boxes2)),
        offsets1_(form.offsets1),
        offsets2_(form.offsets2),
        crowds_(form.crowds, steps),
        values_(form.make_values(), steps * static_cast<std::size_t>(size_of(form.value_type))),
        bits_(form.make_bits(), 4 * steps) {}

  Status enqueue(cudaStream_t stream) const {
    return iou_matrix(options_,
                      {boxes1_.const_tensor(), boxes2_.const_tensor(), offsets1_.const_tensor(),
                       offsets2_.const_tensor(), crowds_.const_tensor()},
                      {values_.tensor(), bits_.tensor()}, Execution::cuda(stream));
  }
  void upload_offsets(const IouForm& form) {
    offsets1_.upload(form.offsets1);
    offsets2_.upload(form.offsets2);
  }
  void poison() {
    values_.poison();
    bits_.poison();
  }
  Results results() const { return {values_.download(), bits_.download()}; }

 private:
  static std::size_t element(const HostTensor& tensor) {
    return static_cast<std::size_t>(size_of(tensor.type()));
  }

  IouMatrixOptions options_;
  DeviceTensor boxes1_, boxes2_, offsets1_, offsets2_, crowds_, values_, bits_;
};

Results results_on_cpu(const IouForm& form) {
  Results results = {form.make_values(), form.make_bits()};
  const Status status =
      iou_matrix(form.options, form.input(), {results.values.tensor(), results.bits.tensor()},
                 Execution::cpu(2));
  EXPECT_TRUE(status.ok()) << status.message();
  return results;
}

void expect_equal(const Results& got, const Results& expected, const IouForm& form) {
  EXPECT_TRUE(same_bits(got.values, expected.values)) << form.describe();
  EXPECT_TRUE(same_bits(got.bits, expected.bits)) << form.describe();
}

TEST(DeviceIouForms, GiveTheBitsOfTheCpu) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  for (int number = 0; number < scaled(150); ++number) {
    const IouForm form =
        random_form(random, random.integer(0, 4), random.integer(0, 80), random.integer(0, 150));
    DeviceForm on_device(form, static_cast<std::size_t>(number % 4));
    on_device.poison();
    ASSERT_TRUE(on_device.enqueue(nullptr).ok()) << form.describe();
    const Results got = on_device.results();
    expect_equal(got, results_on_cpu(form), form);
    // Upright boxes are compared with the reference in device_iou_test.cpp.
    if (!form.with_values || form.options.format != BoxFormat::rotated) continue;
    IouForm exact = form;
    exact.value_type = DataType::float32;
    HostTensor expected = exact.make_values();
    HostTensor bits = exact.make_bits();
    ASSERT_TRUE(
        reference::iou_matrix(exact.options, exact.input(), {expected.tensor(), bits.tensor()})
            .ok());
    Tolerance tolerance = tolerance_of(form.value_type);
    // IoF of a small box in a large one has the error of the large area.
    tolerance.absolute = form.options.kind == IouKind::iof ? 1e-3 : 1e-5;
    EXPECT_TRUE(all_near(got.values.reals(), expected.reals(), tolerance)) << form.describe();
  }
}

TEST(DeviceIouForms, ManyImagesInATile) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  for (int number = 0; number < 6; ++number) {
    const std::int64_t batch = 100 + 60 * number;
    IouForm form;
    form.options.format = number % 2 == 0 ? BoxFormat::xyxy : BoxFormat::rotated;
    form.boxes1 = random_form_boxes(random, form.options.format, DataType::float32, {2 * batch});
    form.boxes2 = random_form_boxes(random, form.options.format, DataType::float32, {3 * batch});
    form.offsets1 = random_offsets(random, batch, 2 * batch, DataType::int32);
    form.offsets2 = random_offsets(random, batch, 3 * batch, DataType::int32);
    form.m = 9;
    DeviceForm on_device(form);
    ASSERT_TRUE(on_device.enqueue(nullptr).ok());
    expect_equal(on_device.results(), results_on_cpu(form), form);
  }
}

TEST(DeviceIouForms, OffsetsThatFallDoNotHang) {
  Random random(3);
  SCOPED_TRACE(random.trace());
  IouForm form;
  form.boxes1 = random_form_boxes(random, BoxFormat::xyxy, DataType::float32, {130});
  form.boxes2 = random_form_boxes(random, BoxFormat::xyxy, DataType::float32, {40});
  form.offsets1 = HostTensor::of_integers(DataType::int64, {5}, {100, 20, INT64_MAX, INT64_MIN, 7});
  form.offsets2 = HostTensor::of_integers(DataType::int64, {5}, {0, 30, 10, 40, INT64_MAX});
  form.m = 40;
  DeviceForm on_device(form);
  ASSERT_TRUE(on_device.enqueue(nullptr).ok());
  EXPECT_TRUE(on_device.results().values.present());
}

class DeviceIouFormStream : public testing::TestWithParam<StreamMode> {};

TEST_P(DeviceIouFormStream, GivesTheSameBits) {
  Random random(4);
  SCOPED_TRACE(random.trace());
  for (int number = 0; number < 8; ++number) {
    const IouForm form = random_form(random, 3, 40, 50);
    const Results expected = results_on_cpu(form);
    DeviceForm on_device(form);
    run_in_mode(
        GetParam(), [&](cudaStream_t stream) { return on_device.enqueue(stream); },
        [&] { on_device.poison(); }, [&] { expect_equal(on_device.results(), expected, form); });
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, DeviceIouFormStream, testing::ValuesIn(kStreamModes),
                         [](const testing::TestParamInfo<StreamMode>& mode) {
                           return std::string(to_string(mode.param));
                         });

TEST(DeviceIouForms, GraphReadsItsOffsetsAnew) {
  Random random(5);
  SCOPED_TRACE(random.trace());
  IouForm form;
  form.boxes1 = random_form_boxes(random, BoxFormat::xyxy, DataType::float32, {70});
  form.boxes2 = random_form_boxes(random, BoxFormat::xyxy, DataType::float32, {90});
  form.m = 33;
  const auto draw_offsets = [&] {
    form.offsets1 = random_offsets(random, 4, 70, DataType::int32);
    form.offsets2 = random_offsets(random, 4, 90, DataType::int32);
  };
  draw_offsets();
  DeviceForm on_device(form);
  Graph graph([&](cudaStream_t stream) { return on_device.enqueue(stream); });
  for (int replay = 0; replay < 3; ++replay) {
    on_device.upload_offsets(form);
    on_device.poison();
    graph.launch();
    expect_equal(on_device.results(), results_on_cpu(form), form);
    draw_offsets();
  }
}

TEST(DeviceIouForms, RotatedPairsAreTheDiagonal) {
  Random random(6);
  SCOPED_TRACE(random.trace());
  for (const IouKind kind : {IouKind::iou, IouKind::iof}) {
    for (const DataType type : kRealDataTypes) {
      constexpr std::int64_t kCount = 67;
      IouForm form;
      form.options.kind = kind;
      form.options.format = BoxFormat::rotated;
      form.boxes1 = random_form_boxes(random, BoxFormat::rotated, type, {1, kCount});
      form.boxes2 = random_form_boxes(random, BoxFormat::rotated, type, {1, kCount});
      form.m = kCount;
      form.value_type = type;
      const HostTensor matrix = results_on_cpu(form).values;
      const DeviceTensor boxes1(form.boxes1), boxes2(form.boxes2);
      DeviceTensor values(HostTensor(type, {kCount}));
      HostTensor on_cpu(type, {kCount}), on_reference(type, {kCount});
      const auto view = [](const Tensor& boxes) {
        return Tensor(boxes.data(), boxes.type(), 2, boxes.shape() + 1, nullptr, true);
      };
      const IouPairsInput on_host = {view(form.boxes1.const_tensor()),
                                     view(form.boxes2.const_tensor())};
      ASSERT_TRUE(iou_pairs(form.options, {view(boxes1.tensor()), view(boxes2.tensor())},
                            {values.tensor()}, Execution::cuda(nullptr))
                      .ok());
      ASSERT_TRUE(iou_pairs(form.options, on_host, {on_cpu.tensor()}, Execution::cpu(2)).ok());
      ASSERT_TRUE(reference::iou_pairs(form.options, on_host, {on_reference.tensor()}).ok());
      EXPECT_TRUE(same_bits(values.download(), on_cpu));
      for (std::size_t i = 0; i < kCount; ++i) {
        EXPECT_EQ(on_cpu.real(i), matrix.real(i * kCount + i)) << i;
        EXPECT_NEAR(on_cpu.real(i), on_reference.real(i), 0.01) << i;
      }
    }
  }
}

}  // namespace
}  // namespace cudet::test
