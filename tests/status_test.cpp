#include <cudet/status.h>

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <type_traits>

namespace cudet {
namespace {

static_assert(std::is_trivially_copyable_v<Status>);
static_assert(std::is_nothrow_default_constructible_v<Status>);

TEST(Status, IsOkByDefault) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::ok);
  EXPECT_STREQ(status.message(), "");
}

TEST(Status, FormatsItsMessage) {
  const Status status = Status::error(StatusCode::invalid_argument, "%s: %s must be %d, got %.1f",
                                      "nms", "boxes", 4, 2.5);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_STREQ(status.message(), "nms: boxes must be 4, got 2.5");
}

TEST(Status, KeepsEveryCode) {
  for (const StatusCode code :
       {StatusCode::invalid_argument, StatusCode::unsupported, StatusCode::cuda_error}) {
    const Status status = Status::error(code, "reason");
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(status.code(), code);
  }
}

TEST(Status, CutsALongMessage) {
  const std::string text(1000, 'x');
  const Status status = Status::error(StatusCode::unsupported, "start %s", text.c_str());
  const std::size_t length = std::strlen(status.message());
  EXPECT_GE(length, 200u);
  EXPECT_LT(length, sizeof(Status));
  EXPECT_EQ(std::string(status.message()), ("start " + text).substr(0, length));
}

TEST(Status, KeepsAMessageThatJustFits) {
  // The capacity is found first, so that the test does not repeat the class's constant.
  const std::string long_text(1000, 'y');
  const std::size_t capacity =
      std::strlen(Status::error(StatusCode::unsupported, "%s", long_text.c_str()).message());
  for (const std::size_t length : {capacity - 1, capacity}) {
    const std::string text(length, 'z');
    EXPECT_EQ(Status::error(StatusCode::unsupported, "%s", text.c_str()).message(), text);
  }
}

TEST(Status, CopiesAreIndependent) {
  Status first = Status::error(StatusCode::cuda_error, "first");
  const Status copy = first;
  first = Status();
  EXPECT_TRUE(first.ok());
  EXPECT_EQ(copy.code(), StatusCode::cuda_error);
  EXPECT_STREQ(copy.message(), "first");
}

TEST(StatusCode, HasNames) {
  EXPECT_STREQ(to_string(StatusCode::ok), "ok");
  EXPECT_STREQ(to_string(StatusCode::invalid_argument), "invalid_argument");
  EXPECT_STREQ(to_string(StatusCode::unsupported), "unsupported");
  EXPECT_STREQ(to_string(StatusCode::cuda_error), "cuda_error");
  EXPECT_STREQ(to_string(static_cast<StatusCode>(99)), "unknown");
}

}  // namespace
}  // namespace cudet
