// The functions of NVML that worker/gpus uses, over a folder that a test fills. TUNESMITH_FAKE_NVML names it:
//   devices   a line for each GPU: "UUID MEMORY_BYTES NAME"
//   UUID/*    each file is memory in use on that GPU: "PID BYTES" while the process PID lives, "PID BYTES kept" also
//             after its end, until the file is removed; "PID BYTES graphics" of a process that draws
// Files must come by rename, so that none is read half written. Signatures and error numbers as in nvml.h.
#include <dirent.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kSuccess = 0;
constexpr int kUninitialized = 1;
constexpr int kInvalidArgument = 2;
constexpr int kNotFound = 6;
constexpr int kInsufficientSize = 7;

struct Device {
  std::string uuid;
  std::string name;
  unsigned long long memory = 0;
};
struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
struct Process {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance;
  unsigned compute_instance;
};

std::string g_folder;
std::vector<std::unique_ptr<Device>> g_devices;

bool Lives(unsigned pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(stat, text)) return false;
  const size_t end = text.rfind(')');
  return end != std::string::npos && end + 2 < text.size() && text[end + 2] != 'Z';
}

// Of one kind or, for kAny, of both.
enum class Kind { kAny, kCompute, kGraphics };

std::vector<Process> ProcessesOf(const Device& device, Kind kind) {
  std::vector<Process> all;
  const std::string folder = g_folder + "/" + device.uuid;
  DIR* listing = opendir(folder.c_str());
  if (listing == nullptr) return all;
  while (const dirent* entry = readdir(listing)) {
    if (entry->d_name[0] == '.') continue;
    std::ifstream file(folder + "/" + entry->d_name);
    Process one = {};
    std::string how;
    if (!(file >> one.pid >> one.used)) continue;
    file >> how;
    const bool wanted = kind == Kind::kAny || (kind == Kind::kGraphics) == (how == "graphics");
    if (wanted && (how == "kept" || Lives(one.pid))) all.push_back(one);
  }
  closedir(listing);
  return all;
}

int List(const Device& device, Kind kind, unsigned* count, Process* processes) {
  const std::vector<Process> all = ProcessesOf(device, kind);
  const unsigned room = *count;
  *count = static_cast<unsigned>(all.size());
  if (all.size() > room) return kInsufficientSize;
  std::copy(all.begin(), all.end(), processes);
  return kSuccess;
}

int Copy(const std::string& text, char* out, unsigned length) {
  if (text.size() + 1 > length) return kInsufficientSize;
  std::memcpy(out, text.c_str(), text.size() + 1);
  return kSuccess;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  const char* folder = std::getenv("TUNESMITH_FAKE_NVML");
  if (folder == nullptr) return kNotFound;
  g_folder = folder;
  std::ifstream file(g_folder + "/devices");
  if (!file) return kNotFound;
  g_devices.clear();
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    auto device = std::make_unique<Device>();
    if (!(words >> device->uuid >> device->memory)) continue;
    std::getline(words >> std::ws, device->name);
    g_devices.push_back(std::move(device));
  }
  return kSuccess;
}

int nvmlShutdown() { return kSuccess; }

const char* nvmlErrorString(int error) {
  switch (error) {
    case kSuccess: return "Success";
    case kUninitialized: return "Uninitialized";
    case kInvalidArgument: return "Invalid Argument";
    case kNotFound: return "Not Found";
    case kInsufficientSize: return "Insufficient Size";
    default: return "Unknown Error";
  }
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(g_devices.size());
  return kSuccess;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device** device) {
  if (index >= g_devices.size()) return kInvalidArgument;
  *device = g_devices[index].get();
  return kSuccess;
}

int nvmlDeviceGetUUID(Device* device, char* uuid, unsigned length) { return Copy(device->uuid, uuid, length); }
int nvmlDeviceGetName(Device* device, char* name, unsigned length) { return Copy(device->name, name, length); }

int nvmlDeviceGetMemoryInfo(Device* device, Memory* memory) {
  *memory = {device->memory, 0, 0};
  for (const Process& one : ProcessesOf(*device, Kind::kAny)) memory->used += one.used;
  memory->used = std::min(memory->used, memory->total);
  memory->free = memory->total - memory->used;
  return kSuccess;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Device* device, unsigned* count, Process* processes) {
  return List(*device, Kind::kCompute, count, processes);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Device* device, unsigned* count, Process* processes) {
  return List(*device, Kind::kGraphics, count, processes);
}

}  // extern "C"
