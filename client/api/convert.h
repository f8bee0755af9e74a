// From messages to words, values and JSON. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <google/protobuf/repeated_field.h>
#include <google/protobuf/timestamp.pb.h>

#include "client/table.h"
#include "schedulers/scheduler.h"
#include "search/space/value.h"
#include "tunesmith/v1/sweep.pb.h"

namespace tunesmith {

// "active", "completed", "online": the enum's name in lower case; "unknown" for a state of a newer
// controller.
std::string FirstLine(const std::string& text);
std::string StateWord(v1::Sweep::State state);
std::string StateWord(v1::Trial::State state);
std::string StateWord(v1::Attempt::State state);
std::string StateWord(v1::Worker::State state);
std::string StateWord(v1::Device::State state);
std::string ActionWord(v1::Verdict::Action action);
// The inverse for trials; nullopt for a word that is no state.
std::optional<v1::Trial::State> TrialStateFromWord(const std::string& word);
std::vector<std::string> TrialStateWords();
bool HasEnded(const v1::Sweep& sweep);
bool HasEnded(const v1::Trial& trial);

Value ValueOf(const v1::ParameterValue& value);
ViewValue ViewValueOf(const v1::ParameterValue& value);
// "lr=0.001 opt=sgd", doubles with `digits` significant digits (0: exact).
std::string ParametersText(const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters,
                           int digits);

int64_t MsOf(const google::protobuf::Timestamp& time);
// "2026-01-31T12:00:00.123Z", or "" where there is no time.
std::string TimeText(const google::protobuf::Timestamp& time, bool present);

// Type, numbers and variant: what MaxTOf, ReductionFactorOf and Pauses look at.
SchedulerOptions SchedulerOf(const v1::SchedulerSpec& scheduler);

// The searcher's goal, with its default.
bool IsMaximised(const v1::SweepSpec& spec);
const std::string& ObjectiveOf(const v1::SweepSpec& spec);
bool HasSeveralObjectives(const v1::SweepSpec& spec);
// "accuracy (max), latency (min)".
std::string ObjectivesText(const v1::SweepSpec& spec);
// Whether no other trial dominates it, with several objectives.
bool OnFront(const v1::Sweep& sweep, uint32_t trial);
// Milliseconds between two times; until `now_ms` where the end is missing; nullopt without a start.
std::optional<int64_t> ElapsedMs(bool has_start, const google::protobuf::Timestamp& start,
                                 bool has_end, const google::protobuf::Timestamp& end,
                                 int64_t now_ms);

// The command of a trial with these parameters, quoted for a shell; "" for a built-in trainable or
// a spec of a newer controller. "args" alone: what ${args} stands for.
std::string CommandOf(const v1::Sweep& sweep, uint32_t trial,
                      const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters);
std::string ArgsOf(const v1::Sweep& sweep,
                   const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters);

// One JSON object each, on one line; numbers exact, NaN and infinities as the strings "nan", "inf",
// "-inf".
std::string SweepJson(const v1::Sweep& sweep, bool with_spec);
std::string TrialJson(const v1::Trial& trial);
std::string MeasurementJson(const v1::Measurement& measurement);
std::string WorkerJson(const v1::Worker& worker);
// "GPU 1 is quarantined: ...", or that it waits for its memory; "" if it can be leased.
std::string HeldDeviceText(const v1::Device& device);
std::string ParametersJson(const google::protobuf::RepeatedPtrField<v1::NamedValue>& parameters);

}  // namespace tunesmith
