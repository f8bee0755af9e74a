#include "server/core/fit.h"

#include <algorithm>
#include <cmath>

#include "common/text.h"

namespace tunesmith {

namespace {

constexpr double kShareSlack = 1e-6;  // shares such as 0.1 do not add up exactly

size_t WholeDevices(const Request& request) {
  return request.gpus < 1 ? 1 : static_cast<size_t>(std::lround(request.gpus));
}

bool HasMemory(const DeviceInfo& device, const Request& request) {
  return device.memory_bytes >= request.gpu_memory_bytes;
}

bool IsFree(const LiveWorker& worker, size_t index) {
  return worker.info.devices[index].state == DeviceState::kReady && worker.device_used[index] < kShareSlack;
}

bool HasShare(const LiveWorker& worker, size_t index, double share) {
  return worker.info.devices[index].state == DeviceState::kReady &&
         worker.device_used[index] + share <= 1 + kShareSlack;
}

// The devices for a fraction of one, or for whole ones; empty if they do not fit.
std::vector<size_t> FitDevices(const LiveWorker& worker, const Request& request) {
  const auto& all = worker.info.devices;
  std::vector<size_t> devices;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!HasMemory(all[i], request)) continue;
    if (request.gpus < 1 ? HasShare(worker, i, request.gpus) : IsFree(worker, i)) devices.push_back(i);
  }
  const size_t wanted = WholeDevices(request);
  if (devices.size() < wanted) return {};
  const bool spread = request.placement == Placement::kSpread;
  std::stable_sort(devices.begin(), devices.end(), [&](size_t a, size_t b) {
    const double used_a = worker.device_used[a];
    const double used_b = worker.device_used[b];
    if (std::abs(used_a - used_b) > kShareSlack) return spread ? used_a < used_b : used_a > used_b;
    return all[a].memory_bytes < all[b].memory_bytes;
  });
  devices.resize(wanted);
  return devices;
}

double FreeDevices(const LiveWorker& worker) {
  double count = 0;
  for (size_t i = 0; i < worker.info.devices.size(); ++i) count += IsFree(worker, i) ? 1 : 0;
  return count;
}

std::array<double, 4> PackCost(const LiveWorker& worker, const Request& request, const std::vector<size_t>& devices) {
  const double cpus_left = worker.info.cpus - worker.cpus_used - request.cpus;
  if (devices.empty()) return {static_cast<double>(worker.info.devices.size()), cpus_left, 0, 0};
  double memory = 0;
  double taken = 0;  // of the devices that were free
  for (const size_t i : devices) {
    memory = std::max(memory, static_cast<double>(worker.info.devices[i].memory_bytes));
    taken += IsFree(worker, i) ? 1 : 0;
  }
  const double devices_left = FreeDevices(worker) - taken;
  const double share_left = request.gpus < 1 ? 1 - worker.device_used[devices.front()] - request.gpus : 0;
  if (request.gpu_memory_bytes > 0) return {share_left, memory, devices_left, cpus_left};
  return {share_left, devices_left, memory, cpus_left};
}

std::array<double, 4> SpreadCost(const LiveWorker& worker, const std::vector<size_t>& devices) {
  const double cpus = static_cast<double>(worker.cpus_used) / std::max(1, worker.info.cpus);
  if (devices.empty()) return {cpus, static_cast<double>(worker.info.devices.size()), 0, 0};
  double used = 0;
  for (const double one : worker.device_used) used += one;
  return {used / static_cast<double>(worker.device_used.size()), cpus, 0, 0};
}

std::string AskedGpus(const Request& request) {
  std::string text = Counted(std::lround(request.gpus), "GPU");
  if (request.gpus < 1) text = ShortText(request.gpus) + " of a GPU";
  if (request.gpu_memory_bytes > 0) text += " with " + MemoryText(request.gpu_memory_bytes);
  return text + (request.gpus <= 1 ? " is" : " are") + " asked for, ";
}

std::string MissingLabel(const LiveWorker& worker, const Request& request) {
  for (const auto& [key, value] : *request.labels) {
    const auto mine = worker.info.labels.find(key);
    if (mine == worker.info.labels.end()) return "the label " + key + "=" + value + " is asked for, it has no " + key;
    if (mine->second != value) {
      return "the label " + key + "=" + value + " is asked for, it has " + key + "=" + mine->second;
    }
  }
  return "";
}

}  // namespace

size_t LabelsHeld(const LiveWorker& worker, const Request& request) {
  if (request.labels == nullptr) return 0;
  return static_cast<size_t>(std::count_if(request.labels->begin(), request.labels->end(), [&](const auto& label) {
    const auto mine = worker.info.labels.find(label.first);
    return mine != worker.info.labels.end() && mine->second == label.second;
  }));
}

bool HasLabels(const LiveWorker& worker, const Request& request) {
  return request.labels == nullptr || LabelsHeld(worker, request) == request.labels->size();
}

size_t DevicesWithMemory(const LiveWorker& worker, const Request& request) {
  return static_cast<size_t>(std::count_if(worker.info.devices.begin(), worker.info.devices.end(),
                                           [&](const DeviceInfo& device) { return HasMemory(device, request); }));
}

std::optional<Fit> FitOn(const LiveWorker& worker, const Request& request) {
  if (worker.info.cpus - worker.cpus_used < request.cpus || !HasLabels(worker, request)) return std::nullopt;
  Fit fit;
  if (request.gpus > 0) {
    fit.devices = FitDevices(worker, request);
    if (fit.devices.empty()) return std::nullopt;
  }
  fit.cost = request.placement == Placement::kSpread ? SpreadCost(worker, fit.devices)
                                                     : PackCost(worker, request, fit.devices);
  return fit;
}

int64_t PlacesOn(const LiveWorker& worker, const Request& request) {
  if (!HasLabels(worker, request)) return 0;
  int64_t places = std::max(0, worker.info.cpus - worker.cpus_used) / std::max(1, request.cpus);
  if (request.cpus == 0) places = INT32_MAX;
  if (request.gpus <= 0) return places;
  double on_devices = 0;
  for (size_t i = 0; i < worker.info.devices.size(); ++i) {
    if (!HasMemory(worker.info.devices[i], request)) continue;
    if (worker.info.devices[i].state != DeviceState::kReady) continue;
    on_devices += request.gpus < 1 ? std::floor((1 - worker.device_used[i] + kShareSlack) / request.gpus)
                                   : (IsFree(worker, i) ? 1 : 0);
  }
  if (request.gpus >= 1) on_devices = std::floor(on_devices / static_cast<double>(WholeDevices(request)));
  return std::min(places, static_cast<int64_t>(on_devices));
}

double FreeShareOf(const LiveWorker& worker, const Request& request) {
  const double cpus_free = worker.info.cpus - worker.cpus_used;
  double share = std::min(1.0, cpus_free / std::max(1, request.cpus));
  if (request.gpus <= 0) return share;
  double free = 0;
  for (size_t i = 0; i < worker.info.devices.size(); ++i) {
    if (!HasMemory(worker.info.devices[i], request)) continue;
    free += request.gpus < 1 ? 1 - worker.device_used[i] : (IsFree(worker, i) ? 1 : 0);
  }
  return share + std::min(1.0, free / request.gpus);
}

bool CouldFitOn(const LiveWorker& worker, const Request& request) {
  if (worker.info.cpus < request.cpus || !HasLabels(worker, request)) return false;
  if (request.gpus <= 0) return true;
  const auto& all = worker.info.devices;
  const auto devices = std::count_if(all.begin(), all.end(), [&](const DeviceInfo& device) {
    return device.state != DeviceState::kQuarantined && HasMemory(device, request);
  });
  return static_cast<size_t>(devices) >= WholeDevices(request);
}

std::string HeldDevicesText(const LiveWorker& worker) {
  std::vector<std::string> parts;
  for (const DeviceInfo& device : worker.info.devices) {
    if (device.state == DeviceState::kReady) continue;
    const std::string what = device.state == DeviceState::kQuarantined ? " is quarantined" : " is not handed over yet";
    parts.push_back("its GPU " + std::to_string(device.index) + what +
                    (device.state_reason.empty() ? "" : ": " + device.state_reason));
  }
  return Join(parts, "; ");
}

std::string MissOn(const LiveWorker& worker, const Request& request) {
  if (FitOn(worker, request)) return "";
  if (!HasLabels(worker, request)) return MissingLabel(worker, request);
  const int32_t cpus = request.cpus;
  const int32_t free = worker.info.cpus - worker.cpus_used;
  if (free < cpus) {
    return Counted(cpus, "CPU") + (cpus == 1 ? " is" : " are") + " asked for, " + std::to_string(free) + " of its " +
           std::to_string(worker.info.cpus) + (free == 1 ? " is" : " are") + " free";
  }
  const auto& all = worker.info.devices;
  if (all.empty()) return "it has no GPU";
  if (DevicesWithMemory(worker, request) < WholeDevices(request)) {
    if (request.gpu_memory_bytes == 0) return AskedGpus(request) + "it has " + std::to_string(all.size());
    const auto largest = std::max_element(all.begin(), all.end(), [](const DeviceInfo& a, const DeviceInfo& b) {
      return a.memory_bytes < b.memory_bytes;
    });
    return AskedGpus(request) + std::to_string(DevicesWithMemory(worker, request)) + " of its " +
           std::to_string(all.size()) + " can have as much, the largest has " + MemoryText(largest->memory_bytes);
  }
  const std::string held = HeldDevicesText(worker);
  const std::string also = held.empty() ? "" : "; " + held;
  double most = 0;
  size_t whole = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (!HasMemory(all[i], request) || all[i].state != DeviceState::kReady) continue;
    most = std::max(most, 1 - worker.device_used[i]);
    whole += IsFree(worker, i) ? 1 : 0;
  }
  if (request.gpus < 1) return AskedGpus(request) + "the most that one has free is " + ShortText(most) + also;
  const size_t count = DevicesWithMemory(worker, request);
  return AskedGpus(request) + std::to_string(whole) + " of its " + std::to_string(count) +
         (request.gpu_memory_bytes > 0 ? " such" : "") + (whole == 1 ? " is" : " are") + " free" + also;
}

}  // namespace tunesmith
