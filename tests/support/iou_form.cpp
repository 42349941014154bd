#include "iou_form.h"

#include "iou_case.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

namespace cudet::test {
namespace {

std::int64_t product(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

/// [batch, n] or, ragged, [n]: shape of the outputs without their columns.
std::vector<std::int64_t> row_shape(const IouForm& form) {
  std::vector<std::int64_t> shape = form.boxes1.shape();
  shape.pop_back();
  return shape;
}

}  // namespace

IouMatrixInput IouForm::input() const {
  return {boxes1.const_tensor(), boxes2.const_tensor(), offsets1.const_tensor(),
          offsets2.const_tensor(), crowds.const_tensor()};
}

HostTensor IouForm::make_values() const {
  if (!with_values) return {};
  std::vector<std::int64_t> shape = row_shape(*this);
  shape.push_back(m);
  return {value_type, shape};
}

HostTensor IouForm::make_bits() const {
  if (!with_bits) return {};
  std::vector<std::int64_t> shape = row_shape(*this);
  shape.push_back((m + 31) / 32);
  return {DataType::int32, shape};
}

std::string IouForm::describe() const {
  std::ostringstream text;
  const auto shape_of = [&](const char* name, const HostTensor& tensor) {
    if (!tensor.present()) return;
    text << ", " << name << " " << to_string(tensor.type());
    for (const std::int64_t size : tensor.shape())
      text << " " << size;
  };
  text << to_string(options.kind) << ", " << to_string(options.format) << ", "
       << to_string(options.angle_unit) << ", " << to_string(options.angle_direction) << ", m " << m
       << ", values " << (with_values ? to_string(value_type) : "absent");
  shape_of("boxes1", boxes1);
  shape_of("boxes2", boxes2);
  shape_of("offsets1", offsets1);
  shape_of("offsets2", offsets2);
  shape_of("crowds", crowds);
  return text.str();
}

HostTensor random_offsets(Random& random, std::int64_t batch, std::int64_t count, DataType type) {
  std::vector<std::int64_t> offsets;
  const bool leaves_some_out = random.chance(0.3);
  for (std::int64_t b = 0; b <= batch; ++b)
    offsets.push_back(random.integer(0, count));
  std::sort(offsets.begin(), offsets.end());
  if (!leaves_some_out) {
    offsets.front() = random.chance(0.2) ? -5 : 0;
    offsets.back() = random.chance(0.2) ? count + 7 : count;
  }
  return HostTensor::of_integers(type, {batch + 1}, offsets);
}

HostTensor random_form_boxes(Random& random, BoxFormat format, DataType type,
                             const std::vector<std::int64_t>& leading_shape) {
  std::vector<std::int64_t> shape = leading_shape;
  const std::int64_t count = product(shape);
  shape.push_back(numbers_of(format));
  if (format != BoxFormat::rotated) {
    return HostTensor::of_reals(type, shape,
                                random_boxes(random, BoxDistribution::special, count, format));
  }
  std::vector<float> numbers;
  for (std::int64_t i = 0; i < count; ++i) {
    numbers.push_back(random.uniform_float(0.0f, 60.0f));
    numbers.push_back(random.uniform_float(0.0f, 60.0f));
    numbers.push_back(random.uniform_float(0.0f, 50.0f));
    numbers.push_back(random.uniform_float(0.0f, 50.0f));
    numbers.push_back(random.uniform_float(-400.0f, 400.0f));
    if (random.chance(0.1)) numbers[numbers.size() - 3] = -1.0f;
    if (random.chance(0.1)) numbers.back() = NAN;
    if (i > 0 && random.chance(0.3)) {  // the box before, moved or turned a little
      for (std::size_t k = 0; k < 5; ++k)
        numbers[numbers.size() - 5 + k] = numbers[numbers.size() - 10 + k];
      numbers[numbers.size() - 1 - static_cast<std::size_t>(random.integer(0, 4))] += 0.25f;
    }
  }
  return HostTensor::of_reals(type, shape, numbers);
}

IouForm random_form(Random& random, std::int64_t batch, std::int64_t n, std::int64_t m) {
  IouForm form;
  const bool rotated = random.chance(0.4);
  const bool crowds = !rotated && random.chance(0.3);
  form.options.format = rotated ? BoxFormat::rotated : static_cast<BoxFormat>(random.integer(0, 2));
  form.options.kind = crowds    ? IouKind::iou
                      : rotated ? static_cast<IouKind>(random.integer(0, 1))
                                : static_cast<IouKind>(random.integer(0, 5));
  form.options.angle_unit = static_cast<AngleUnit>(random.integer(0, 1));
  form.options.angle_direction = static_cast<AngleDirection>(random.integer(0, 1));
  form.options.legacy_offset = !rotated && random.chance(0.2);
  form.options.threshold = random.uniform_float(-0.2f, 0.7f);
  form.value_type = kRealDataTypes[random.integer(0, 2)];
  form.with_values = random.chance(0.8);
  form.with_bits = !form.with_values || random.chance(0.6);

  const auto box_type = [&] { return kRealDataTypes[random.integer(0, 2)]; };
  const auto offset_type = [&] { return random.chance(0.5) ? DataType::int32 : DataType::int64; };
  const bool ragged1 = random.chance(0.5);
  const bool ragged2 = random.chance(0.5);
  using Shape = std::vector<std::int64_t>;
  const Shape shape1 = ragged1 ? Shape{batch * n} : Shape{batch, n};
  const Shape shape2 = ragged2 ? Shape{batch * m} : Shape{batch, m};
  form.boxes1 = random_form_boxes(random, form.options.format, box_type(), shape1);
  form.boxes2 = random_form_boxes(random, form.options.format, box_type(), shape2);
  if (ragged1) form.offsets1 = random_offsets(random, batch, batch * n, offset_type());
  if (ragged2) form.offsets2 = random_offsets(random, batch, batch * m, offset_type());
  form.m = ragged2 ? random.integer(0, 2 * m + 3) : m;
  if (!form.with_values && ragged2) form.m = (form.m + 31) / 32 * 32;
  if (crowds) {
    std::vector<std::int64_t> flags;
    for (std::int64_t i = 0; i < batch * m; ++i)
      flags.push_back(random.integer(0, 1));
    form.crowds = HostTensor::of_integers(DataType::uint8, shape2, flags);
  }
  return form;
}

}  // namespace cudet::test
