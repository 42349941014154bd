// The reference of iou_matrix() for crowds, rotated boxes, ragged sets and bits: against other
// libraries' figures, and against the plain form.
#include <cudet/iou.h>

#include "support/iou_form.h"
#include "support/oracle.h"
#include "support/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace cudet::test {
namespace {

/// Array `name` of a case as [1, rows, columns].
HostTensor boxes_of(const OracleCase& oracle, const std::string& name) {
  const Array array = oracle.input(name);
  return HostTensor::of_reals(DataType::float32, {1, array.size(0), array.size(1)},
                              array.values<float>());
}

/// The values of a form, by the reference and by the CPU mode.
std::vector<HostTensor> values_of(const IouForm& form) {
  std::vector<HostTensor> results;
  for (const bool at_speed : {false, true}) {
    HostTensor values = form.make_values();
    HostTensor bits = form.make_bits();
    const IouMatrixOutput output = {values.tensor(), bits.tensor()};
    const Status status = at_speed
                              ? iou_matrix(form.options, form.input(), output, Execution::cpu(2))
                              : reference::iou_matrix(form.options, form.input(), output);
    EXPECT_TRUE(status.ok()) << status.message();
    results.push_back(values);
  }
  return results;
}

class CrowdIouOracle : public testing::TestWithParam<std::string> {};

TEST_P(CrowdIouOracle, BothAgree) {
  const OracleCase oracle = load_case("coco_iou", GetParam());
  IouForm form;
  form.options.format = BoxFormat::xywh;
  form.boxes1 = boxes_of(oracle, "dt");
  form.boxes2 = boxes_of(oracle, "gt");
  form.m = form.boxes2.shape()[1];
  const std::vector<std::uint8_t> crowds = oracle.input("iscrowd").values<std::uint8_t>();
  form.crowds = HostTensor::of_integers(DataType::uint8, {1, form.m},
                                        std::vector<std::int64_t>(crowds.begin(), crowds.end()));
  form.with_bits = false;
  for (const HostTensor& values : values_of(form)) {
    EXPECT_TRUE(
        all_near(values.reals(), oracle.output("iou").values<double>(), oracle.tolerance("iou")));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, CrowdIouOracle, testing::ValuesIn(list_cases("coco_iou")),
                         case_test_name);

class RotatedIouOracle : public testing::TestWithParam<std::string> {};

TEST_P(RotatedIouOracle, BothAgree) {
  const OracleCase oracle = load_case("rotated_iou", GetParam());
  IouForm form;
  form.options.format = BoxFormat::rotated;
  form.boxes1 = boxes_of(oracle, "boxes1");
  form.boxes2 = boxes_of(oracle, "boxes2");
  form.m = form.boxes2.shape()[1];
  form.with_bits = false;
  struct Figure {
    const char* name;
    IouKind kind;
    AngleDirection direction;
  };
  for (const Figure& figure :
       {Figure{"iou_rotpos", IouKind::iou, AngleDirection::clockwise},
        Figure{"iou_rotneg", IouKind::iou, AngleDirection::counter_clockwise},
        Figure{"iof_rotneg", IouKind::iof, AngleDirection::counter_clockwise}}) {
    if (!oracle.has_output(figure.name)) continue;
    form.options.kind = figure.kind;
    form.options.angle_direction = figure.direction;
    for (const HostTensor& values : values_of(form)) {
      EXPECT_TRUE(all_near(values.reals(), oracle.output(figure.name).values<double>(),
                           oracle.tolerance(figure.name)))
          << figure.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, RotatedIouOracle, testing::ValuesIn(list_cases("rotated_iou")),
                         case_test_name);

/// Rows `begin` ... `end` - 1 of a tensor whose first dimension counts them.
HostTensor rows_of(const HostTensor& tensor, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = tensor.shape()[1];
  const std::vector<float> all = tensor.reals();
  return HostTensor::of_reals(tensor.type(), {1, end - begin, width},
                              {all.begin() + begin * width, all.begin() + end * width});
}

TEST(RaggedIou, IsThePlainMatrixOfEachImage) {
  Random random(1);
  SCOPED_TRACE(random.trace());
  int pairs = 0;
  for (int number = 0; number < scaled(60); ++number) {
    const std::int64_t batch = random.integer(0, 5);
    IouForm form;
    form.options.format = number % 3 == 0 ? BoxFormat::rotated : BoxFormat::xywh;
    form.options.kind = number % 3 == 0 ? IouKind::iof : IouKind::giou;
    form.boxes1 = random_form_boxes(random, form.options.format, DataType::float32, {23});
    form.boxes2 = random_form_boxes(random, form.options.format, DataType::float32, {17});
    form.offsets1 = random_offsets(random, batch, 23, DataType::int32);
    form.offsets2 = random_offsets(random, batch, 17, DataType::int64);
    form.m = random.integer(1, 20);
    form.with_bits = false;
    const float invalid = form.options.kind == IouKind::giou ? -1.0f : 0.0f;
    std::vector<float> expected(static_cast<std::size_t>(23 * form.m), invalid);
    const auto offset = [](const HostTensor& offsets, std::int64_t b, std::int64_t count) {
      return std::clamp<std::int64_t>(offsets.integer(static_cast<std::size_t>(b)), 0, count);
    };
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::int64_t row = offset(form.offsets1, b, 23);
      const std::int64_t column = offset(form.offsets2, b, 17);
      IouForm image;
      image.options = form.options;
      image.boxes1 = rows_of(form.boxes1, row, offset(form.offsets1, b + 1, 23));
      image.boxes2 = rows_of(form.boxes2, column, offset(form.offsets2, b + 1, 17));
      image.m = image.boxes2.shape()[1];
      image.with_bits = false;
      const std::vector<float> values = values_of(image)[0].reals();
      for (std::int64_t i = 0; i < image.boxes1.shape()[1]; ++i) {
        for (std::int64_t j = 0; j < std::min(image.m, form.m); ++j, ++pairs) {
          expected[static_cast<std::size_t>((row + i) * form.m + j)] =
              values[static_cast<std::size_t>(i * image.m + j)];
        }
      }
    }
    EXPECT_EQ(values_of(form)[0].reals(), expected) << form.describe();
  }
  EXPECT_GT(pairs, 0);
}

TEST(IouBits, SayWhichValuesAreAboveTheThreshold) {
  Random random(2);
  SCOPED_TRACE(random.trace());
  int set = 0;
  for (int number = 0; number < 100; ++number) {
    IouForm form =
        random_form(random, random.integer(1, 3), random.integer(0, 9), random.integer(0, 70));
    form.value_type = DataType::float32;
    form.with_values = form.with_bits = true;
    HostTensor values = form.make_values();
    HostTensor bits = form.make_bits();
    ASSERT_TRUE(
        reference::iou_matrix(form.options, form.input(), {values.tensor(), bits.tensor()}).ok());
    const auto words = static_cast<std::size_t>((form.m + 31) / 32);
    const std::size_t rows = words == 0 ? 0 : bits.count() / words;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t j = 0; j < 32 * words; ++j) {
        const auto m = static_cast<std::size_t>(form.m);
        const bool expected = j < m && values.real(row * m + j) > form.options.threshold;
        const bool got = (bits.integer(row * words + j / 32) >> j % 32 & 1) != 0;
        ASSERT_EQ(got, expected) << form.describe() << " row " << row << " column " << j;
        set += got ? 1 : 0;
      }
    }
  }
  EXPECT_GT(set, 100);
}

}  // namespace
}  // namespace cudet::test
