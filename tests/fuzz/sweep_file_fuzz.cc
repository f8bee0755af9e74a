// Whatever the bytes are: a sweep file is read, or refused with a reason; what was read survives
// its JSON form.
//   sweep_file_fuzz -max_len=4096 -max_total_time=60 CORPUS examples/digits
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/check.h"
#include "spec/sweep_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tunesmith;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<FileProblem> problems;
  const auto spec = ParseSweepFile(text, &problems);
  TS_CHECK(spec.has_value() == problems.empty(), "a file is good, or it has problems");
  for (const FileProblem& problem : problems) {
    TS_CHECK(!problem.problem.message.empty(), "a problem says what is wrong");
    FormatProblem("f", problem);
  }
  if (spec) {
    const auto back = ParseSweepFile(SweepSpecToJson(*spec), &problems);
    TS_CHECK(back && *back == *spec, "the JSON form reads back as the same spec");
  }
  Problems flag_problems;
  const auto parameter = ParseParameterFlag(text, &flag_problems);
  TS_CHECK(parameter.has_value() == flag_problems.empty(), "a flag is good, or it has problems");
  return 0;
}
