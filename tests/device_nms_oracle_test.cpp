// The problems of the oracle cases on a device: bit for bit what the reference gives, which
// nms_oracle_test.cpp compares with the oracles.

#include "support/device_nms.h"
#include "support/nms_oracle.h"

#include <gtest/gtest.h>

#include <string>

namespace cudet::test {
namespace {

class DeviceNmsOracle : public testing::TestWithParam<std::string> {};

TEST_P(DeviceNmsOracle, EqualsTheReference) {
  SomeCases cases;
  for (const std::string& name : list_cases(GetParam())) {
    SCOPED_TRACE(name);
    for (const NmsProblem& problem : problems_of(GetParam(), load_case(GetParam(), name))) {
      if (!cases.takes_next()) continue;
      expect_on_device(problem, reference_result(problem), StreamMode::other_stream);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Families, DeviceNmsOracle, testing::ValuesIn(nms_families()),
                         case_test_name);

}  // namespace
}  // namespace cudet::test
