// The journal in SQLite (WAL, synchronous=FULL). Every kind of event has a table of its own and is one row, numbered
// by one counter over all tables (`seq`), so that what is replayed is also what a person asks with SQL; the views
// sweeps, trials, attempts, metrics and verdicts put them together. See schema.h.
#pragma once

#include <memory>
#include <string>

#include "server/journal/journal.h"

namespace tunesmith {

// Opens or creates the database file. FAILED_PRECONDITION if a newer version wrote it, DATA_LOSS if it is damaged.
// The caller has made sure that nobody else writes it.
StatusOr<std::unique_ptr<Journal>> OpenSqliteJournal(const std::string& path);

}  // namespace tunesmith
