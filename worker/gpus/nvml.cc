// NVML without its headers or library at build time: the few functions that are needed, declared as
// in nvml.h.
#include <dlfcn.h>

#include <algorithm>
#include <map>

#include "worker/gpus/gpus.h"

namespace tunesmith::worker {
namespace {

using NvmlDevice = struct nvmlDevice_st*;
struct NvmlMemory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
// nvmlProcessInfo_t of nvmlDeviceGet{Compute,Graphics}RunningProcesses_v2 and _v3 (nvml.h, drivers since 450).
struct NvmlProcess {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance;
  unsigned compute_instance;
};
constexpr int kNvmlSuccess = 0;
constexpr int kNvmlInsufficientSize = 7;
constexpr unsigned long long kNvmlValueNotAvailable = ~0ULL;
constexpr unsigned kTextMax = 96;
constexpr unsigned kProcessesMax = 4'096;  // of one device; more are not looked at

struct Functions {
  int (*init)();
  int (*shutdown)();
  const char* (*error_string)(int);
  int (*device_count)(unsigned*);
  int (*device_by_index)(unsigned, NvmlDevice*);
  int (*device_uuid)(NvmlDevice, char*, unsigned);
  int (*device_name)(NvmlDevice, char*, unsigned);
  int (*device_memory)(NvmlDevice, NvmlMemory*);
  // nullptr where the driver is too old.
  int (*compute_processes)(NvmlDevice, unsigned*, NvmlProcess*);
  int (*graphics_processes)(NvmlDevice, unsigned*, NvmlProcess*);
};

class Nvml : public GpuDriver {
 public:
  Nvml(void* library, Functions functions) : library_(library), nvml_(functions) {}
  ~Nvml() override {
    nvml_.shutdown();
    dlclose(library_);
  }

  Status Scan() {
    unsigned count = 0;
    if (const int error = nvml_.device_count(&count); error != kNvmlSuccess)
      return Error(error, "cannot count GPUs");
    for (unsigned i = 0; i < count; ++i) {
      NvmlDevice device = nullptr;
      char uuid[kTextMax] = "", name[kTextMax] = "";
      NvmlMemory memory = {};
      int error = nvml_.device_by_index(i, &device);
      if (error == kNvmlSuccess) error = nvml_.device_uuid(device, uuid, kTextMax);
      if (error == kNvmlSuccess) error = nvml_.device_name(device, name, kTextMax);
      if (error == kNvmlSuccess) error = nvml_.device_memory(device, &memory);
      if (error != kNvmlSuccess) return Error(error, "cannot read GPU " + std::to_string(i));
      devices_[uuid] = device;
      gpus_.push_back({uuid, name, static_cast<int>(i), static_cast<int64_t>(memory.total)});
    }
    return OkStatus();
  }

  std::vector<Gpu> All() const override { return gpus_; }

  std::optional<int64_t> UsedBytes(const std::string& uuid) const override {
    const auto it = devices_.find(uuid);
    NvmlMemory memory = {};
    if (it == devices_.end() || nvml_.device_memory(it->second, &memory) != kNvmlSuccess)
      return std::nullopt;
    return static_cast<int64_t>(memory.used);
  }

  std::optional<std::vector<GpuProcess>> Processes(const std::string& uuid) const override {
    const auto it = devices_.find(uuid);
    std::vector<GpuProcess> processes;
    if (it == devices_.end() || !List(nvml_.compute_processes, it->second, &processes)) return std::nullopt;
    List(nvml_.graphics_processes, it->second, &processes);
    return processes;
  }

 private:
  using ProcessesFunction = int (*)(NvmlDevice, unsigned*, NvmlProcess*);

  // Adds those that are not listed yet. False if the driver does not say.
  static bool List(ProcessesFunction function, NvmlDevice device, std::vector<GpuProcess>* processes) {
    if (function == nullptr) return false;
    // Others come and go between two calls.
    std::vector<NvmlProcess> found;
    int error = kNvmlInsufficientSize;
    for (unsigned room = 16; error == kNvmlInsufficientSize && room <= kProcessesMax; room *= 4) {
      found.resize(room);
      unsigned filled = room;
      error = function(device, &filled, found.data());
      if (error == kNvmlSuccess) found.resize(std::min<size_t>(filled, found.size()));
    }
    if (error != kNvmlSuccess) return false;
    for (const NvmlProcess& one : found) {
      const auto pid = static_cast<int64_t>(one.pid);
      if (std::any_of(processes->begin(), processes->end(), [&](const auto& p) { return p.pid == pid; })) continue;
      processes->push_back({pid, std::nullopt});
      if (one.used != kNvmlValueNotAvailable) processes->back().bytes = static_cast<int64_t>(one.used);
    }
    return true;
  }

  Status Error(int error, const std::string& what) const {
    return Internal(what + ": NVML says \"" + nvml_.error_string(error) + "\"");
  }

  void* library_;
  Functions nvml_;
  std::vector<Gpu> gpus_;
  std::map<std::string, NvmlDevice> devices_;
};

template <typename F>
bool Load(void* library, const char* name, F* function) {
  *function = reinterpret_cast<F>(dlsym(library, name));
  return *function != nullptr;
}

}  // namespace

StatusOr<std::unique_ptr<GpuDriver>> OpenNvml(const std::string& library_name) {
  void* library = dlopen(library_name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return Unavailable("no NVIDIA driver (" + library_name + " is not there)");
  Functions f = {};
  const bool complete = Load(library, "nvmlInit_v2", &f.init) &&
                        Load(library, "nvmlShutdown", &f.shutdown) &&
                        Load(library, "nvmlErrorString", &f.error_string) &&
                        Load(library, "nvmlDeviceGetCount_v2", &f.device_count) &&
                        Load(library, "nvmlDeviceGetHandleByIndex_v2", &f.device_by_index) &&
                        Load(library, "nvmlDeviceGetUUID", &f.device_uuid) &&
                        Load(library, "nvmlDeviceGetName", &f.device_name) &&
                        Load(library, "nvmlDeviceGetMemoryInfo", &f.device_memory);
  if (!complete) {
    dlclose(library);
    return Internal(library_name + " lacks functions that every driver since 2013 has");
  }
  if (!Load(library, "nvmlDeviceGetComputeRunningProcesses_v3", &f.compute_processes))
    Load(library, "nvmlDeviceGetComputeRunningProcesses_v2", &f.compute_processes);
  if (!Load(library, "nvmlDeviceGetGraphicsRunningProcesses_v3", &f.graphics_processes))
    Load(library, "nvmlDeviceGetGraphicsRunningProcesses_v2", &f.graphics_processes);
  if (const int error = f.init(); error != kNvmlSuccess) {
    const std::string text = f.error_string(error);
    dlclose(library);
    return Unavailable("the NVIDIA driver does not work: NVML says \"" + text + "\"");
  }
  auto nvml = std::make_unique<Nvml>(library, f);
  TS_RETURN_IF_ERROR(nvml->Scan());
  return nvml;
}

}  // namespace tunesmith::worker
