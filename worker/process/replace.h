// A process goes on as another program: same number, same children, and what is handed on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/status.h"

namespace tunesmith::worker {

// Where the program lies that runs here, as an absolute path. Call it at start: it is the name that counts, under which
// a newer program may lie later. `argv0`: what the process was started as.
std::string OwnProgram(const std::string& argv0);

// Runs the program with these arguments, without input, and waits for at most `ms_max`. An error if it does not end
// with exit code 0, with the last line of its stderr.
Status TryProgram(const std::string& program, const std::vector<std::string>& argv, int ms_max);

// The program takes this process's place, with the environment, `descriptors`, and `state` for TakeState. Returns only
// if that failed: then nothing has changed. Other threads end as if they were killed.
Status BecomeProgram(const std::string& program, const std::vector<std::string>& argv, const std::string& state,
                     const std::vector<int>& descriptors);

// The state that BecomeProgram has given to this process, once; nullopt if it was started in another way. Call it
// before there are threads: it changes the environment.
std::optional<std::string> TakeState();
// When nobody knows what was handed on.
void CloseAllDescriptors();

}  // namespace tunesmith::worker
