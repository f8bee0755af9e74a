#include "worker/trainer/peer_processes.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

namespace tunesmith::trainer {
namespace {

std::string FirstWord(const std::string& path) {
  std::ifstream in(path);
  std::string word;
  in >> word;
  return word;
}

// Machine and pid namespace: where a process id means the same.
std::string PidSpace() {
  std::error_code error;
  return FirstWord("/proc/sys/kernel/random/boot_id") + ":" +
         std::filesystem::read_symlink("/proc/self/ns/pid", error).string();
}

// The start time of a process, which tells it from a later one of the same id; "" when it has ended, also when its
// parent has not yet asked for its exit code.
std::string StartOf(const std::string& pid) {
  std::ifstream in("/proc/" + pid + "/stat");
  const std::string stat{std::istreambuf_iterator<char>(in), {}};
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(stat.substr(name_end + 1));
  const std::vector<std::string> words{std::istream_iterator<std::string>(fields), {}};
  constexpr size_t kState = 0, kStart = 19;  // fields 3 and 22 of proc(5)
  if (words.size() <= kStart || words[kState] == "Z" || words[kState] == "X") return "";
  return words[kStart];
}

}  // namespace

std::string ProcessMark() {
  const std::string pid = std::to_string(getpid());
  return PidSpace() + " " + pid + " " + StartOf(pid);
}

PeerState StateOf(const std::string& mark) {
  std::istringstream fields(mark);
  std::string space, pid, start;
  fields >> space >> pid >> start;
  if (space != PidSpace()) return PeerState::kElsewhere;
  return !start.empty() && StartOf(pid) == start ? PeerState::kRuns : PeerState::kEnded;
}

}  // namespace tunesmith::trainer
