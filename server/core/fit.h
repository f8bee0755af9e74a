// Whether and how one attempt fits on one worker. Pure functions of the two.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/core/live_worker.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

// What an attempt asks for.
struct Request {
  double gpus = 0;  // after gpus_optional
  int32_t cpus = 1;
  int64_t gpu_memory_bytes = 0;
  const std::map<std::string, std::string>* labels = nullptr;  // may be null: none
  Placement placement = Placement::kPack;
};

struct Fit {
  std::vector<size_t> devices;   // by index into the worker's
  // Smaller is better, the first that differs decides; among equals the older worker.
  std::array<double, 4> cost = {};
};

// Nothing is leased on a device that is not ready.
//
// pack leaves the least over. Whole devices: of those with memory enough the smallest; the worker on which the fewest
// free devices are left, so that a small trial does not break up what a large one needs, and then the one with the
// smaller devices; where memory is asked for, that comes first: large devices are what the next such request lacks.
// Fractions: the fullest device with room, then as whole ones. Without GPUs: workers that have none, then the one with
// the fewest CPUs left.
// spread takes the emptiest worker, by the share of its devices in use (without GPUs, of its CPUs), and there the
// emptiest device.
std::optional<Fit> FitOn(const LiveWorker& worker, const Request& request);
// How many more such attempts the worker can take.
int64_t PlacesOn(const LiveWorker& worker, const Request& request);
// How near the worker is to having room for one: the shares of CPUs and devices asked for that are free, added up.
double FreeShareOf(const LiveWorker& worker, const Request& request);
// Whether it would fit if nothing ran there. A device that is quarantined does not count, one that is waited for does.
bool CouldFitOn(const LiveWorker& worker, const Request& request);

// How many of the labels that are asked for the worker has.
size_t LabelsHeld(const LiveWorker& worker, const Request& request);
bool HasLabels(const LiveWorker& worker, const Request& request);
// Devices, in whatever state, with memory enough.
size_t DevicesWithMemory(const LiveWorker& worker, const Request& request);
// What the request lacks on this worker, in words; "" if it fits.
std::string MissOn(const LiveWorker& worker, const Request& request);
// Of the worker's devices that are not ready: "its GPU 1 is quarantined: ..."; "" if all are.
std::string HeldDevicesText(const LiveWorker& worker);

}  // namespace tunesmith
