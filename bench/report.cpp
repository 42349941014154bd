#include "report.h"

#include "build_info.h"
#include "device.h"
#include "host_machine.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace cudet::bench {
namespace {

using Json = nlohmann::ordered_json;

struct NamedTime {
  const char* name;
  Summary Timings::*field;
};
constexpr NamedTime kTimes[] = {
    {"warm", &Timings::warm}, {"cold", &Timings::cold},         {"graph", &Timings::graph},
    {"cpu", &Timings::cpu},   {"baseline", &Timings::baseline}, {"reference", &Timings::reference},
};

/// Null where nothing is known.
Json positive(double value) {
  return value > 0.0 ? Json(value) : Json(nullptr);
}

Json json_of(const Summary& time) {
  if (time.samples == 0) return nullptr;
  return {{"median_seconds", time.median},
          {"spread", time.spread},
          {"samples", time.samples},
          {"median_error", time.median_error()}};
}

Json json_of(const DeviceProperties& properties) {
  return {{"name", properties.name},
          {"units", properties.units},
          {"clock_mhz", positive(properties.clock_mhz)},
          {"memory_clock_mhz", positive(properties.memory_clock_mhz)},
          {"memory_bytes_per_second", positive(properties.bytes_per_second)},
          {"memory_bytes", properties.memory_bytes}};
}

Json json_of(const Result& result, const Limits& limits) {
  Json times;
  for (const NamedTime& time : kTimes)
    times[time.name] = json_of(result.times.*time.field);
  return {{"name", result.name},
          {"type", to_string(result.type)},
          {"shape", result.shape},
          {"outcome", to_string(result.outcome)},
          {"check", result.check},
          {"note", result.note},
          {"kept", result.kept.has_value() ? Json(*result.kept) : Json(nullptr)},
          {"bytes", positive(result.compulsory_bytes)},
          {"operations", positive(result.operations)},
          {"share_of_bandwidth", positive(share_of_bandwidth(result, limits))},
          {"share_of_arithmetic", positive(share_of_arithmetic(result, limits))},
          {"graph_nodes", result.graph_nodes},
          {"times", times}};
}

/// Quoted where the format asks for it.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

std::string to_json(const Report& report) {
  Json results = Json::array();
  for (const Result& result : report.results)
    results.push_back(json_of(result, report.limits));
  Json device = json_of(report.device.properties());
  device["kind"] = report.device.is_cuda() ? "cuda" : "cpu";
  device["reason"] = report.device.reason();
  const Json json = {{"schema_version", kSchemaVersion},
                     {"build",
                      {{"version", kVersion},
                       {"commit", kCommit},
                       {"compiler", kCompiler},
                       {"cuda", Device::cuda_versions()},
                       {"cuda_architectures", kCudaArchitectures}}},
                     {"run",
                      {{"time", report.time},
                       {"quick", report.options.quick},
                       {"profile", report.options.profile},
                       {"repeat", report.options.repeat},
                       {"filter", report.filter},
                       {"dtype", report.type},
                       {"min_seconds", report.options.measured.min_seconds}}},
                     {"device", device},
                     {"host", json_of(host_properties())},
                     {"limits",
                      {{"bytes_per_second", report.limits.bytes_per_second},
                       {"operations_per_second", report.limits.operations_per_second}}},
                     {"results", results}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_csv(const std::vector<Result>& results) {
  std::string text = "name,type,shape,outcome,check,kept,bytes,operations";
  for (const NamedTime& time : kTimes)
    text += fmt::format(",{0}_seconds,{0}_spread,{0}_samples", time.name);
  text += ",note\n";
  for (const Result& result : results) {
    text += fmt::format("{},{},{},{},{},{},{},{}", csv_field(result.name), to_string(result.type),
                        csv_field(result.shape), to_string(result.outcome), csv_field(result.check),
                        result.kept.has_value() ? fmt::format("{}", *result.kept) : "",
                        result.compulsory_bytes, result.operations);
    for (const NamedTime& named : kTimes) {
      const Summary& time = result.times.*named.field;
      text += time.samples == 0 ? std::string(",,,")
                                : fmt::format(",{},{},{}", time.median, time.spread, time.samples);
    }
    text += "," + csv_field(result.note) + "\n";
  }
  return text;
}

}  // namespace cudet::bench
