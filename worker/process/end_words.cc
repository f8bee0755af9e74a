#include "worker/process/end_words.h"

#include <vector>

#include "common/limits.h"
#include "common/text.h"

namespace tunesmith::worker {
namespace {
constexpr size_t kTailBytes = 4096;
constexpr size_t kLinesBefore = 10;
}  // namespace

void OutputTail::Append(std::string_view bytes) {
  if (bytes.size() > kTailBytes) bytes.remove_prefix(bytes.size() - kTailBytes);
  if (bytes_.size() + bytes.size() > 2 * kTailBytes) bytes_.erase(0, bytes_.size() - kTailBytes);
  bytes_ += bytes;
}

std::string OutputTail::Text() const {
  std::vector<std::string> lines;  // newest first
  size_t end = bytes_.size();
  size_t bytes = 0;
  while (end > 0 && lines.size() <= kLinesBefore) {
    const size_t newline = bytes_.find_last_of("\r\n", end - 1);
    const size_t begin = newline == std::string::npos ? 0 : newline + 1;
    std::string line = bytes_.substr(begin, end - begin);
    end = newline == std::string::npos ? 0 : newline;
    line.erase(line.find_last_not_of(" \t") + 1);
    if (line.empty()) continue;
    line = ValidUtf8(line.substr(0, kEndReasonBytesMax / 2));
    bytes += line.size() + 1;
    if (bytes > kEndReasonBytesMax - 200) break;
    lines.push_back(std::move(line));
  }
  if (lines.empty()) return "";
  std::string text = lines.front();
  for (size_t i = lines.size() - 1; i >= 1; --i) text += "\n" + lines[i];
  return text;
}

std::string MemoryEvidence(const ProcessEnd& end, bool kernel_killed) {
  if (kernel_killed) return "the kernel killed a process for lack of memory at that moment";
  if (end.exit_code == 0) return "";
  for (const char* words :
       {"CUDA out of memory", "OutOfMemoryError", "CUDA_ERROR_OUT_OF_MEMORY", "std::bad_alloc",
        "MemoryError", "Cannot allocate memory", "not enough memory"}) {
    if (end.stderr_tail.find(words) != std::string::npos ||
        end.failed_reason.find(words) != std::string::npos) {
      return std::string("the program says \"") + words + "\"";
    }
  }
  return "";
}

}  // namespace tunesmith::worker
