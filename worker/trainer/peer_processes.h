// Which ranks' processes still run, as far as this machine can see. No LibTorch in this header.
#pragma once

#include <string>
#include <vector>

namespace tunesmith::trainer {

// What the others recognise this process by: machine, process id, start.
std::string ProcessMark();

enum class PeerState { kRuns, kEnded, kElsewhere };
// kElsewhere: on another machine or in another pid namespace. `mark`: of ProcessMark().
PeerState StateOf(const std::string& mark);

}  // namespace tunesmith::trainer
