// What all commands share: telling errors and news on stderr, and reading what the user gave.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/commands/commands.h"
#include "client/output.h"
#include "client/settings.h"
#include "common/problem.h"
#include "common/status.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

// One line on stderr.
void Say(std::string_view text);
// "tunesmith: message" and every field that the controller objected to; returns the exit code.
int Fail(const Status& status);
// Ends a command that wrote to `out`: a broken pipe is quiet, a full disk is not.
int Finished(Output* out, int exit_code);

// "12", "90s", "5m", "2h30m", "1d" in milliseconds; a bare number is seconds. nullopt for anything
// else, 0 and less.
std::optional<int64_t> ParseDuration(std::string_view text);
// "4096", "64k", "2M" in bytes.
std::optional<int64_t> ParseBytes(std::string_view text);

// The bytes of the file, at most a little more than a sweep file may have. "-": stdin.
StatusOr<std::string> ReadSweepText(const std::string& file);
// The spec of a file or of flags; problems are told on stderr. A relative command runs in the
// folder of its sweep file, or in the current folder where there is none.
std::optional<SweepSpec> LoadSweep(const SweepSource& source);

// The scheduler of a file, see ParseSchedulerFile; nullopt and the exit code if it is wrong, which has been said.
std::optional<SweepSpec> LoadScheduler(const std::string& file, const Objective* lent, int* exit_code);

RecordWriter::Options RecordOptions(const Settings& settings);

}  // namespace tunesmith
