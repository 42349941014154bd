// NMS problems as the oracle cases of tests/data/oracle state them.
#pragma once

#include "nms_problem.h"
#include "oracle.h"

#include <string>
#include <vector>

namespace cudet::test {

/// Families of oracle cases that nms() is tested with.
std::vector<std::string> nms_families();

/// The problems of a case: one for each of its thresholds. Empty where a case asks for something
/// that nms() does not offer.
std::vector<NmsProblem> problems_of(const std::string& family, const OracleCase& oracle_case);

}  // namespace cudet::test
