#include <atomic>
#include <map>

#include "server/journal/memory_journal.h"
#include "server/journal/sqlite_journal.h"
#include "tests/conformance/journal_suite.h"

namespace tunesmith {
namespace {

StatusOr<std::unique_ptr<Journal>> OpenMemory(const std::string& folder) {
  static auto* disks = new std::map<std::string, MemoryDisk>();
  return std::unique_ptr<Journal>(std::make_unique<MemoryJournal>(&(*disks)[folder]));
}

StatusOr<std::unique_ptr<Journal>> OpenSqlite(const std::string& folder) {
  return OpenSqliteJournal(folder + "/journal.db");
}

INSTANTIATE_TEST_SUITE_P(Journals, JournalSuite,
                         ::testing::Values(JournalFactory{"memory", OpenMemory}, JournalFactory{"sqlite", OpenSqlite}),
                         JournalFactoryName);

}  // namespace
}  // namespace tunesmith
