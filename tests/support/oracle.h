// Cases with expected values that other libraries computed: tests/data/oracle/FAMILY/CASE, each a
// meta.json and one .npy file per array.
#pragma once

#include "npy.h"
#include "tolerance.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cudet::test {

struct OracleCase {
  std::string name;
  std::string directory;
  nlohmann::json meta;

  /// Entry `key` of meta.params.
  template <class T>
  T parameter(const std::string& key) const {
    return meta.at("params").at(key).get<T>();
  }
  bool has_input(const std::string& input_name) const;
  bool has_output(const std::string& output_name) const;

  /// Arrays by the names that meta.json gives them; throw where there is none.
  Array input(const std::string& input_name) const;
  Array output(const std::string& output_name) const;

  /// The oracle's tolerance for a float32 implementation; throws where the output is exact.
  Tolerance tolerance(const std::string& output_name) const;
};

/// Folder of the test data: the environment variable CUDET_TEST_DATA_DIR where it is set, otherwise
/// the compile definition of that name.
std::string data_directory();

/// Names of all cases of a family, sorted; for testing::ValuesIn(). Where there is none, one name
/// for which load_case() throws, so that missing data fails a test instead of removing it.
std::vector<std::string> list_cases(const std::string& family);

OracleCase load_case(const std::string& family, const std::string& name);

/// Test name of a case, for INSTANTIATE_TEST_SUITE_P: what is neither letter nor digit becomes '_'.
std::string case_test_name(const testing::TestParamInfo<std::string>& info);

}  // namespace cudet::test
