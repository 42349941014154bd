#include "oracle.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace cudet::test {
namespace {

Array read_array(const OracleCase& oracle_case, const char* group, const std::string& name) {
  const nlohmann::json& arrays = oracle_case.meta.at(group);
  if (!arrays.contains(name)) {
    throw std::runtime_error(oracle_case.directory + ": no array " + name + " in " + group);
  }
  return Array::read(oracle_case.directory + "/" + arrays.at(name).at("file").get<std::string>());
}

}  // namespace

bool OracleCase::has_input(const std::string& input_name) const {
  return meta.at("inputs").contains(input_name);
}

bool OracleCase::has_output(const std::string& output_name) const {
  return meta.at("outputs").contains(output_name);
}

Array OracleCase::input(const std::string& input_name) const {
  return read_array(*this, "inputs", input_name);
}

Array OracleCase::output(const std::string& output_name) const {
  return read_array(*this, "outputs", output_name);
}

Tolerance OracleCase::tolerance(const std::string& output_name) const {
  const nlohmann::json& entry = meta.at("tolerance").at(output_name);
  return {entry.at("atol").get<double>(), entry.at("rtol").get<double>()};
}

std::string data_directory() {
  if (const char* directory = std::getenv("CUDET_TEST_DATA_DIR")) return directory;
#if defined(CUDET_TEST_DATA_DIR)
  return CUDET_TEST_DATA_DIR;
#else
  return "tests/data";
#endif
}

std::vector<std::string> list_cases(const std::string& family) {
  std::vector<std::string> names;
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::path(data_directory()) / "oracle" / family;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  if (names.empty()) names.push_back("missing_data");
  return names;
}

OracleCase load_case(const std::string& family, const std::string& name) {
  OracleCase oracle_case;
  oracle_case.name = name;
  oracle_case.directory = data_directory() + "/oracle/" + family + "/" + name;
  const std::string path = oracle_case.directory + "/meta.json";
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be opened");
  oracle_case.meta = nlohmann::json::parse(file);
  return oracle_case;
}

std::string case_test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

}  // namespace cudet::test
