// What a trial prints and says on its channel: any bytes. Nothing may crash, and a report is never
// empty.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/limits.h"
#include "worker/process/line_parser.h"
#include "worker/process/output_splitter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tunesmith::worker::CollectRule;
  using tunesmith::worker::LineParser;
  const auto parser =
      *LineParser::Create({{CollectRule::Kind::kRegex, R"(e(?P<epoch>\d+) (?P<loss>\S+))"},
                           {CollectRule::Kind::kAuto, ""}},
                          {"loss"});
  tunesmith::worker::OutputSplitter splitter(tunesmith::kTrialLineBytesMax);
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const auto on_line = [&](std::string_view line, bool) {
    const auto report = parser->Parse(line);
    if (report.has_value() && (report->metrics.empty() || report->step.value_or(0) < 0))
      std::abort();
    (void)tunesmith::worker::ParseChannelLine(line);
  };
  while (!rest.empty()) rest.remove_prefix(splitter.TakeLine(rest, on_line));
  splitter.Finish(on_line);
  return 0;
}
