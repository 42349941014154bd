// The example of the README: keep the best of three boxes on the host. With device pointers and
// Execution::cuda(stream, workspace, bytes) the same call runs on a GPU.

// readme-begin
#include <cudet/nms.h>

#include <cstdio>

int main() {
  const float boxes[] = {10, 10, 50, 50, 12, 12, 52, 52, 60, 60, 90, 90};  // x1, y1, x2, y2
  const float scores[] = {0.9f, 0.8f, 0.7f};
  std::int32_t count[1];
  std::int32_t indices[3];

  cudet::NmsOptions options;
  options.iou_threshold = 0.5f;
  cudet::NmsInput input;
  input.boxes = cudet::Tensor(boxes, {1, 3, 4});  // [batch, n, 4]; the type follows the pointer
  input.scores = cudet::Tensor(scores, {1, 3});
  cudet::NmsOutput output;  // outputs that are left empty are not written
  output.count = cudet::Tensor(count, {1});
  output.indices = cudet::Tensor(indices, {1, 3});

  const cudet::Status status = cudet::nms(options, input, output, cudet::Execution::cpu());
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.message()), 1;
  for (int k = 0; k < count[0]; ++k)
    std::printf("kept box %d\n", indices[k]);  // 0 and 2
}
// readme-end
