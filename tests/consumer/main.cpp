// A program of a user: plain C++, linked to cudet and to nothing else.
#include <cudet/cudet.h>

#include <cstdint>
#include <cstdio>

int main() {
  if (cudet::version() != CUDET_VERSION) {
    std::printf("library version %d, header version %d\n", cudet::version(), CUDET_VERSION);
    return 1;
  }

  // The second box overlaps the first, which has the higher score; the third stands alone.
  const float boxes[] = {0, 0, 10, 10, 1, 1, 11, 11, 20, 20, 30, 30};
  const float scores[] = {0.9f, 0.8f, 0.7f};
  const std::int32_t expected[] = {0, 2, -1};

  cudet::NmsOptions options;
  options.iou_threshold = 0.5f;
  cudet::NmsInput input;
  input.boxes = cudet::Tensor(boxes, {1, 3, 4});
  input.scores = cudet::Tensor(scores, {1, 3});

  for (const bool reference : {true, false}) {
    std::int32_t count = -2;
    std::int32_t indices[] = {-2, -2, -2};
    cudet::NmsOutput output;
    output.count = cudet::Tensor(&count, {1});
    output.indices = cudet::Tensor(indices, {1, 3});
    const cudet::Status status =
        reference ? cudet::reference::nms(options, input, output)
                  : cudet::nms(options, input, output, cudet::Execution::cpu());
    if (!status.ok()) {
      std::printf("%s: %s\n", cudet::to_string(status.code()), status.message());
      return 1;
    }
    bool equal = count == 2;
    for (int i = 0; i < 3; ++i) equal = equal && indices[i] == expected[i];
    if (!equal) {
      std::printf("expected 2 boxes, 0 2 -1, got %d boxes, %d %d %d\n", count, indices[0],
                  indices[1], indices[2]);
      return 1;
    }
  }
  std::printf("kept boxes 0 and 2\n");
  return 0;
}
