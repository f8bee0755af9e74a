// Decoding of the journal. The first byte says of what:
//   0  text of a column: points, lists, words. What is read can be written, and reads back the same.
//   1  a journal whose columns somebody has changed with SQL: (table, column, row, type, value) again and again
//   2  a journal file with other bytes: (offset, byte) again and again; an offset behind the end cuts the file
// A journal is opened and read, or refused with a reason; what is read is events. Nothing may crash, whatever it holds.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "server/journal/codec.h"
#include "server/journal/sqlite.h"
#include "server/journal/sqlite_journal.h"
#include "tests/conformance/event_text.h"
#include "tests/conformance/history.h"
#include "tests/fuzz/bytes.h"
#include "tests/fuzz/check.h"

namespace tunesmith {
namespace {

Parameter Options(const std::string& name, Distribution distribution, std::vector<Value> options) {
  Parameter parameter;
  parameter.name = name;
  parameter.distribution = distribution;
  parameter.options = std::move(options);
  return parameter;
}

Space EveryKindOfValue() {
  Parameter rate;
  rate.name = "rate";
  rate.distribution = Distribution::kUniform;
  rate.lo = -1;
  rate.hi = 1;
  Problems problems;
  auto space = Space::Create(
      {rate,
       Options("mixed", Distribution::kChoice,
               {true, int64_t{1}, 2.5, std::string("a\"b"), JsonValue{"[0.9,0.99]"}, JsonValue{"null"},
                JsonValue{"{}"}}),
       Options("n/m", Distribution::kConstant, {int64_t{9'007'199'254'740'993}})},
      &problems);
  Check(space.has_value(), problems.empty() ? "the space is valid" : problems.front().message);
  return std::move(*space);
}

template <typename Enum, typename ToName>
void CheckWord(std::string_view text, std::optional<Enum> found, ToName to_name) {
  if (found) CheckEqual<std::string>(to_name(*found), std::string(text), "the word");
}

void DecodeText(std::string_view text) {
  static const Space& space = *new Space(EveryKindOfValue());
  if (const auto point = PointFromJson(space, text)) {
    CheckEqual(point->size(), space.size(), "values of a point");
    const std::string written = PointToJson(space, *point);
    const auto again = PointFromJson(space, written);
    Check(again.has_value(), "what was written can be read");
    CheckEqual(PointToJson(space, *again), written, "the point written again");
  }
  if (const auto strings = StringsFromJson(text)) {
    const auto again = StringsFromJson(StringsToJson(*strings));
    Check(again && *again == *strings, "a list of texts reads back the same");
  }
  std::vector<SlotValue> slots, again;
  if (SlotsFromJson(text, &slots)) {
    const std::string written = SlotsToJson(slots.data(), slots.data() + slots.size());
    Check(SlotsFromJson(written, &again), "what was written can be read");
    CheckEqual(SlotsToJson(again.data(), again.data() + again.size()), written, "the metrics written again");
  }
  CheckWord(text, SweepStateFromName(text), [](SweepState state) { return Name(state); });
  CheckWord(text, TrialStateFromName(text), [](TrialState state) { return Name(state); });
  CheckWord(text, AttemptStateFromName(text), [](AttemptState state) { return Name(state); });
  CheckWord(text, ActionFromName(text), ActionName);
  CheckWord(text, ReasonFromName(text), ReasonName);
  CheckWord(text, OriginKindFromName(text), [](Origin::Kind kind) { return Name(kind); });
  CheckWord(text, OriginJudgeFromName(text), [](Origin::Judge judge) { return Name(judge); });
}

// A folder in memory where there is one, gone with the process.
class Folder {
 public:
  Folder() {
    const bool in_memory = std::filesystem::is_directory("/dev/shm");
    const std::filesystem::path parent = in_memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = (parent / "tunesmith-fuzz-XXXXXX").string();
    Check(::mkdtemp(pattern.data()) != nullptr, "a folder can be made");
    path_ = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string journal() const { return path_ + "/journal.db"; }

 private:
  std::string path_;
};

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void WriteAll(const std::string& path, std::string_view bytes) {
  std::filesystem::remove(path + "-wal");
  std::filesystem::remove(path + "-shm");
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<ptrdiff_t>(bytes.size()));
}

// The file of a journal as a controller writes it: several sweeps, one of them deleted.
const std::string& GoodJournal(const Folder& folder) {
  static const std::string& bytes = *new std::string([&] {
    std::filesystem::remove(folder.journal());
    auto journal = OpenSqliteJournal(folder.journal());
    Check(journal.ok(), Message(journal.status()));
    for (const auto& commit : MakeHistory({.seed = 5, .steps = 60, .deletions = true})) {
      const Status status = (*journal)->Append(commit);
      Check(status.ok(), Message(status));
    }
    journal->reset();
    return ReadAll(folder.journal());
  }());
  return bytes;
}

// All that a server does with it when it starts, and lists.
void ReadJournal(const std::string& path) {
  const auto journal = OpenSqliteJournal(path);
  if (!journal.ok()) {
    Check(!Message(journal.status()).empty(), "a refusal says why");
    return;
  }
  std::set<SweepId> sweeps;
  const Status status = (*journal)->Replay([&](const Event& event) {
    EventText(event);
    if (const auto* created = std::get_if<SweepCreated>(&event)) sweeps.insert(created->sweep);
  });
  Check(status.ok() || !Message(status).empty(), "a refusal says why");
  for (const SweepId sweep : sweeps) {
    (void)(*journal)->ReadMeasurements(sweep, std::nullopt, 0, 100);
    (void)(*journal)->ReadMeasurements(sweep, 0, 1, 100);
  }
  if (!status.ok()) return;
  (void)(*journal)->Append({WorkerRegistered{WorkerId(77), "appended"}});
  for (int i = 0; i < 100 && (*journal)->Maintain(); ++i) continue;
}

void ChangeColumns(SqliteDatabase* database, Bytes* in) {
  static const std::vector<std::pair<std::string, std::vector<std::string>>>& tables = *[database] {
    auto* all = new std::vector<std::pair<std::string, std::vector<std::string>>>();
    auto names = SqliteStatement::Prepare(database, "SELECT name FROM sqlite_master WHERE type='table' ORDER BY name");
    Check(names.ok(), Message(names.status()));
    while (names->Next() == 1) all->push_back({names->GetText(0), {}});
    for (auto& [table, columns] : *all) {
      auto info = SqliteStatement::Prepare(database, "SELECT name FROM pragma_table_info('" + table + "')");
      Check(info.ok(), Message(info.status()));
      while (info->Next() == 1) columns.push_back(info->GetText(0));
    }
    return all;
  }();
  constexpr int kChangesMax = 16;
  for (int i = 0; i < kChangesMax && !in->empty(); ++i) {
    const auto& [table, columns] = tables[in->Byte() % tables.size()];
    const std::string& column = columns[in->Byte() % columns.size()];
    const auto row = static_cast<int64_t>(in->Byte());
    const uint8_t type = in->Byte();
    // Any row of the table. A primary key that another row has already is not taken over.
    const std::string key = table == "meta" ? "key" : "seq";
    const std::string value_sql = type % 5 == 4 ? "CAST(? AS BLOB)" : "?";
    const std::string rows = "(SELECT count(*) FROM " + table + ")";
    auto update = SqliteStatement::Prepare(
        database, "UPDATE OR IGNORE " + table + " SET " + column + "=" + value_sql + " WHERE " + key + "=(SELECT " +
                      key + " FROM " + table + " LIMIT 1 OFFSET ? % max(1, " + rows + "))");
    Check(update.ok(), Message(update.status()));
    std::string text;
    switch (type % 5) {
      case 0: update->Int(static_cast<int64_t>(in->Number(type & 128 ? 8 : 1))); break;
      case 1: {
        const uint64_t bits = in->Number(8);
        double value = 0;
        static_assert(sizeof value == sizeof bits);
        std::memcpy(&value, &bits, sizeof value);
        update->Real(value);
        break;
      }
      case 2: update->Null(); break;
      default:
        text = in->Text(in->Byte());
        update->Text(text);
    }
    update->Int(row);
    (void)update->Run();
  }
}

void ChangeBytes(std::string* bytes, Bytes* in) {
  while (!in->empty()) {
    const size_t offset = in->Number(3);
    const auto byte = static_cast<char>(in->Byte());
    if (offset < bytes->size()) {
      (*bytes)[offset] = byte;
    } else {
      bytes->resize(offset % (bytes->size() + 1));
    }
  }
}

}  // namespace
}  // namespace tunesmith

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tunesmith;
  static const Folder folder;
  Bytes in(data, size);
  switch (in.Byte() % 3) {
    case 0: DecodeText(in.Rest()); break;
    case 1: {
      WriteAll(folder.journal(), GoodJournal(folder));
      auto database = SqliteDatabase::Open(folder.journal(), false);
      Check(database.ok(), Message(database.status()));
      (void)(*database)->Execute("PRAGMA synchronous=OFF; BEGIN");
      ChangeColumns(database->get(), &in);
      (void)(*database)->Execute("COMMIT");
      database->reset();
      ReadJournal(folder.journal());
      break;
    }
    default: {
      std::string bytes = GoodJournal(folder);
      ChangeBytes(&bytes, &in);
      WriteAll(folder.journal(), bytes);
      ReadJournal(folder.journal());
    }
  }
  return 0;
}
