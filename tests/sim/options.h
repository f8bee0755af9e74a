// What one simulated run is made of, drawn from its seed. By swarm: each kind of fault is absent in some runs, so that
// what only happens in quiet surroundings is seen too (Groce et al. 2012, "Swarm Testing").
#pragma once

#include <cstdint>
#include <string>

#include "common/time.h"

namespace tunesmith::sim {

struct SimOptions {
  uint64_t seed = 0;

  // --- size
  int workers = 3;
  int sweeps = 3;
  int ask_clients = 1;          // for each ask/tell sweep
  int64_t trials_max = 14;      // of a sweep
  Duration epoch_min{200};      // of a trial
  Duration epoch_max{4'000};
  Duration faults_for{300'000}; // then everything is healed
  Duration heal_within{7'200'000};  // and must have ended by then

  // --- network
  int64_t delay_ms_mean = 5;
  Duration break_every{0};      // mean time between broken streams of one worker; 0: never
  Duration partition_every{0};  // mean time between partitions of one worker; 0: never
  Duration partition_max{60'000};  // three leases
  Duration one_way_every{0};    // mean time between losses of one direction of one worker's stream
  Duration stall_every{0};      // mean time between stretches in which one end of a stream does not read
  double late = 0;              // of broken streams: what was under way still arrives, after the next one has begun
  double reply_lost = 0;        // of unary calls, after they were applied
  double request_lost = 0;

  // --- controller
  Duration controller_crash_every{0};  // mean; at a point around a commit
  bool crash_before_append = true;
  bool crash_in_append = true;
  bool crash_in_release = true;
  Duration down_max{40'000};    // two leases
  bool disk_full = false;       // some commits fail
  Duration controller_restart_every{0};  // stopped in order and started again (an upgrade)
  Duration store_full_every{0};  // mean time between stretches in which no copy of a checkpoint is taken
  Duration suggestion_max{30};  // how long a model thinks

  // --- workers
  Duration worker_crash_every{0};
  bool real_agent = true;           // the daemon's own decisions; else the plain model
  bool worker_loses_spool = false;  // a machine whose disk is gone; else the spool survives
  double worker_repeats = 0;        // of its messages with records, once more
  double device_late = 0;           // of devices handed over: their memory comes back late, or after the time limit
  double worker_lies = 0;           // sends records of an older attempt, or with a forged epoch
  double unknown_records = 0;       // sends records of attempts that never were
  double inventory_lies = 0;        // of its greetings: devices and places that it does not have, or lacks some
  Duration worker_restart_every{0};  // stopped in order and started again (an upgrade)
  Duration spool_full_every{0};     // mean time between stretches in which the spool takes nothing
  Duration clock_skew{0};           // at most, of each start of a daemon; its clock goes forward by jumps as well
  Duration clock_jump_every{0};

  // --- users
  Duration user_action_every{0};    // pause, resume, stop, delete, stop a trial, drain, undrain

  // --- trials: chance of each fate for an attempt
  double trial_crashes = 0;
  double trial_hangs = 0;       // never reports; goes after a while, deaf to TERM
  double trial_not_a_number = 0;
  double trial_doubles = 0;     // reports every step twice
  double trial_floods = 0;      // prints and reports far more than anybody reads
  double trial_start_fails = 0;
  double trial_ignores_term = 0;
  double trial_checkpoints = 0;  // of a trial: names a checkpoint every so many steps, and resumes from it
  double checkpoint_lost = 0;    // of copies on their way to the controller
};

// Which kinds may be drawn: those that came later change what a seed is.
enum class Faults : uint8_t { kFirst, kAll };

// Everything from the seed alone.
SimOptions DrawOptions(uint64_t seed, Faults faults = Faults::kAll);
// The same with so many machines and work for all of them.
SimOptions DrawFleet(uint64_t seed, int workers, Faults faults = Faults::kAll);
// A quiet hour of so many machines, with epochs of half a minute and now and then a fault.
SimOptions FleetHour(uint64_t seed, int workers);
// "workers=3 sweeps=2 ...": for the first line of a log.
std::string Describe(const SimOptions& options);

}  // namespace tunesmith::sim
