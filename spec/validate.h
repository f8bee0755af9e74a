// Parts of Validate.
#pragma once

#include "common/problem.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

// Command, environment, built-in trainable: that there is exactly one program, and that it gets the
// parameters.
void ValidateProgram(const SweepSpec& spec, Problems* problems);

// The scheduler's metric and options alone, whatever else the spec has or lacks.
Problems ValidateScheduler(const SweepSpec& spec);

// Text that a program, a file or a person has to read: UTF-8 without NUL, at most `bytes_max`
// bytes.
void ValidateText(const std::string& field, const std::string& text, size_t bytes_max,
                  Problems* problems);

// A value that a spec can hold: text as above, finite numbers, canonical JSON.
void ValidateValue(const std::string& field, const Value& value, Problems* problems);

// What pbt mutates (field "scheduler.mutations.NAME").
void ValidateMutations(const SweepSpec& spec, const Space& space, Problems* problems);

}  // namespace tunesmith
