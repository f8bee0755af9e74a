// Every limit of the system in one place, each with its reason. A queue, buffer or retry without a line here is a bug.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tunesmith {

// --- sweep definitions
constexpr size_t kSweepFileBytesMax = 1 << 20;        // a sweep file is written by a person; 1 MiB is a mistake
constexpr size_t kSweepFileDepthMax = 40;             // levels of nesting; real files have about ten
constexpr size_t kSweepFileNodesMax = 500'000;        // values in a file, aliases written out: an alias bomb ends here
constexpr size_t kProblemsMax = 100;                  // mistakes named in one answer; the rest is counted
constexpr size_t kParametersPerSweepMax = 1000;       // searchers are tested up to 500
constexpr size_t kChoicesPerParameterMax = 100'000;   // a categorical of 10,000 values must work
constexpr size_t kConstraintsMax = 100;               // of a sweep's parameters
constexpr size_t kConstraintBytesMax = 4'096;         // of one; longer ones are split
constexpr size_t kConstraintDepthMax = 64;            // levels of nesting of one
constexpr size_t kRequirementsMax = 32;               // outcome constraints of a sweep
constexpr size_t kObjectivesMax = 8;                  // beyond it nearly every trial is as good as every other
constexpr size_t kParetoTrialsMax = 10'000;           // of a sweep's front; nobody looks at more
constexpr size_t kMetricsPerSweepMax = 256;           // distinct metric names a sweep remembers
constexpr size_t kMetricsPerMeasurementMax = 256;
constexpr size_t kNameBytesMax = 256;                 // parameter, metric, sweep and worker names
constexpr size_t kSweepNameBytesMax = 200;            // becomes a folder's name, with "-2" where it is taken (255)
constexpr size_t kArgumentsMax = 1'000;               // of a command, before ${args} is expanded
constexpr size_t kArgumentBytesMax = 100'000;         // Linux takes 131,072 in one argument or variable
constexpr size_t kPathBytesMax = 4'095;               // PATH_MAX
constexpr size_t kCollectRulesMax = 32;               // each is tried on every line of output
constexpr size_t kRegexBytesMax = 4'096;
constexpr size_t kLabelsMax = 64;                     // of a worker, or asked for
constexpr int kDevicesPerTrialMax = 4'096;            // GPUs or CPUs that one attempt asks for
constexpr size_t kSweepsActiveMax = 10'000;
constexpr int64_t kTrialsPerSweepMax = 10'000'000;
constexpr size_t kWarmStartSweepsMax = 16;           // that one sweep starts from
constexpr size_t kWarmStartTrialsMax = 1'000;         // taken over from them: what a model can use
constexpr int32_t kRepeatsMax = 100;                  // of one point; the error of the mean is a tenth then
constexpr int64_t kMeasurementsPerAttemptMax = 1'000'000;  // "report once per epoch", not per batch of a month's run
constexpr int32_t kPriorityMax = 1'000'000;           // of a sweep, either way: nobody counts further
constexpr double kWeightMax = 1e6;

// --- sharing the workers
constexpr int64_t kStarvedMs = 600'000;   // a sweep that ran nothing for so long is next, whoever else waits

constexpr int64_t kReportStepMax = int64_t{1} << 53;  // of `simulate`: schedulers compare steps as doubles
constexpr size_t kReportLineBytesMax = 16 << 20;      // of `simulate`: a report with a thousand metrics has 50 kB

// --- worker protocol
constexpr int64_t kHeartbeatMs = 2'000;
constexpr int64_t kLeaseMs = 12'000;              // six heartbeats: a busy machine is not a dead one
constexpr size_t kRecordsPerMessageMax = 1'000;   // records of attempts in one WorkerMessage
constexpr size_t kSessionQueueMax = 10'000;       // messages waiting for one slow daemon; then it must resynchronise

constexpr int32_t kCpusPerWorkerMax = 100'000;
constexpr size_t kDevicesPerWorkerMax = 1'024;    // of one machine
constexpr size_t kCheckpointNameBytesMax = 4'096; // a path
constexpr int kSessionMessagesInFlight = 2;       // of one daemon with the loop: one is stepped while the next arrives

// --- gRPC
constexpr size_t kStreamsMax = 20'000;            // sessions, watchers and log readers of one controller
constexpr size_t kReplyBytesMax = 3 << 20;        // a page is cut there: clients receive at most 4 MiB
constexpr size_t kStreamChunkBytes = 512 << 10;   // a message of a long stream
constexpr size_t kTrialsScannedMax = 100'000;     // by one call, on the loop thread
constexpr size_t kReviewedTrialsMax = 10'000;     // sweeps and trials in one ReviewLeftovers
constexpr size_t kReadsQueuedMax = 1'000;         // for the thread that reads measurements and logs
constexpr size_t kInsightsQueuedMax = 8;          // fits of a model that wait; each takes up to a second or two
constexpr size_t kSpecsCachedMax = 1'000;         // sweep specs kept as messages
constexpr size_t kSpecCacheBytesMax = 64 << 20;
constexpr int kReceiveBytesMax = 4 << 20;
constexpr size_t kPageSizeDefault = 100;
constexpr size_t kPageSizeMax = 1'000;
constexpr size_t kErrorDetailBytesMax = 2'000;    // above about 8 KB gRPC replaces the error by another

// --- trials on a worker
constexpr size_t kTrialLineBytesMax = 64 << 10;        // a longer line of output is cut
constexpr int64_t kTrialLogBytesMax = 64 << 20;        // per attempt on the worker's disk; the rest is only counted
constexpr int64_t kForwardedLogBytesMax = 4 << 20;     // per attempt sent to the controller
constexpr int64_t kStopGraceMsDefault = 10'000;        // SIGTERM to SIGKILL
constexpr size_t kUnackedRecordsMax = 20'000;          // per attempt; then the worker stops reading from the trial
constexpr size_t kUnackedBytesMax = 16 << 20;          // the same in memory, for measurements with hundreds of metrics
constexpr size_t kRecordBytesPerMessageMax = 1 << 20;  // of one WorkerMessage; the receiver refuses kReceiveBytesMax
constexpr size_t kEndReasonBytesMax = 2'000;           // stands in lists and tables
constexpr int64_t kLeftoverGraceMs = 2'000;            // TERM to KILL for children that outlive their program
constexpr size_t kLogChunkBytesMax = 32 << 10;         // of forwarded output in one record
constexpr int64_t kLogBytesPerSecondMax = 64 << 10;    // forwarded per attempt; a person reads less
constexpr int64_t kTrialReadBytesPerSecondMax = 8 << 20;  // a trial that writes gigabytes waits; others do not
constexpr int64_t kReportsPerSecondMax = 5'000;        // per attempt, after a burst of kUnackedRecordsMax
constexpr size_t kChannelBytesMax = 1 << 20;           // verdicts that a trial does not read; then it is closed
constexpr int64_t kDeviceReleaseMsMax = 30'000;        // for a driver to give back the memory of a dead process
constexpr size_t kPidsPerAttemptMax = 4'096;           // remembered, to know their memory on a device
constexpr int64_t kReconnectMsMin = 200;
constexpr int64_t kReconnectMsMax = 10'000;

// --- scheduling
constexpr int kRungsPerBracketMax = 1'000;        // a reduction factor of 1.01 has 463 rungs up to step 100
constexpr int kBracketsMax = 1'000;
constexpr int32_t kPlateauResultsMax = 1'000;
constexpr int kEndedBracketsKept = 16;           // hyperband: brackets that have ended, whose rungs are still shown
constexpr int kUserRetriesDefault = 0;            // a script that fails once fails again; opt in
constexpr int kLostRetriesDefault = 5;            // machine trouble is not the trial's fault, but is not endless
constexpr int kFailuresInRowToQuarantine = 5;     // starts that fail in a row on one worker
constexpr size_t kCurvePointsMax = 32;            // points of a learning curve kept in memory per trial

}  // namespace tunesmith
