// Core types to and from the messages of the contract.
#pragma once

#include <google/protobuf/repeated_field.h>
#include <google/protobuf/timestamp.pb.h>

#include <string>
#include <vector>

#include "common/status.h"
#include "server/core/command.h"
#include "server/core/controller.h"
#include "server/core/effect.h"
#include "server/journal/journal.h"
#include "tunesmith/v1/sweep.pb.h"
#include "tunesmith/v1/worker_service.pb.h"

namespace tunesmith::rpc {

// --- out: what users see

void FillTime(Time time, google::protobuf::Timestamp* out);
void FillValue(const Value& value, v1::ParameterValue* out);
// Active parameters only, in the spec's order.
void FillParameters(const SweepSpec& spec, const Point& point,
                    google::protobuf::RepeatedPtrField<v1::NamedValue>* out);
v1::SweepSpec SpecToProto(const SweepSpec& spec);
// All but the spec, which is large and never changes: the caller adds it.
void FillSweep(const Controller& controller, const Sweep& sweep, v1::Sweep* out);
enum class Attempts { kLast, kAll };
void FillTrial(const State& state, const Sweep& sweep, uint32_t number, Attempts attempts, v1::Trial* out);
void FillWorker(const Controller& controller, WorkerId id, v1::Worker* out);
// `text`: the verdict in words, used where something was judged.
void FillVerdict(const Verdict& verdict, const std::string& text, v1::Verdict* out);
void FillMeasurement(const StoredMeasurement& stored, const std::vector<std::string>& metric_names,
                     const SweepSpec& spec, v1::Measurement* out);

// --- out: to a worker daemon

void FillRef(const AttemptRef& ref, v1::AttemptRef* out);
void FillAssign(const SendAssign& assign, v1::Assign* out);
void FillAnswer(const AttemptAnswer& answer, v1::AttemptAnswer* out);

// --- in: from a worker daemon. INVALID_ARGUMENT names the field.

StatusOr<WorkerHello> HelloFromProto(const v1::Hello& hello);
Status HeldFromProto(const v1::HeldDevices& held, std::vector<DeviceInfo>* out);
// Moves texts out of the message.
Status RecordsFromProto(v1::Records* records, std::vector<WorkerRecord>* out);

// --- in: from a client

Status MetricsFromProto(const google::protobuf::RepeatedPtrField<v1::MetricValue>& metrics,
                        std::vector<NamedMetric>* out);

}  // namespace tunesmith::rpc
