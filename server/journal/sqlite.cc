#include "server/journal/sqlite.h"

#include <sqlite3.h>

#include <cmath>
#include <limits>
#include <utility>

namespace tunesmith {

StatusOr<std::unique_ptr<SqliteDatabase>> SqliteDatabase::Open(const std::string& path, bool read_only) {
  sqlite3* handle = nullptr;
  const int flags =
      (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<SqliteDatabase> database(new SqliteDatabase(handle));
  if (code != SQLITE_OK) return database->Error("cannot open " + path);
  sqlite3_busy_timeout(handle, 10'000);
  return database;
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(handle_); }

Status SqliteDatabase::Execute(const char* sql) {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return OkStatus();
  return Error("SQL");
}

Status SqliteDatabase::Error(std::string_view what) const {
  const int code = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_errcode(handle_);
  StatusCode status = StatusCode::kInternal;
  switch (code) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: status = StatusCode::kDataLoss; break;
    case SQLITE_FULL: status = StatusCode::kResourceExhausted; break;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: status = StatusCode::kPermissionDenied; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: status = StatusCode::kUnavailable; break;
    default: break;
  }
  return MakeStatus(status,
                    std::string(what) + ": " + (handle_ == nullptr ? "out of memory" : sqlite3_errmsg(handle_)));
}

SqliteStatement::SqliteStatement(SqliteStatement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)), next_bind_(other.next_bind_) {}

SqliteStatement& SqliteStatement::operator=(SqliteStatement&& other) noexcept {
  if (this != &other) {
    sqlite3_finalize(statement_);
    statement_ = std::exchange(other.statement_, nullptr);
    next_bind_ = other.next_bind_;
  }
  return *this;
}

SqliteStatement::~SqliteStatement() { sqlite3_finalize(statement_); }

StatusOr<SqliteStatement> SqliteStatement::Prepare(SqliteDatabase* database, std::string_view sql) {
  SqliteStatement statement;
  const int code = sqlite3_prepare_v3(database->handle(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement.statement_, nullptr);
  if (code != SQLITE_OK) return database->Error("cannot prepare " + std::string(sql));
  return statement;
}

SqliteStatement& SqliteStatement::Int(int64_t value) {
  sqlite3_bind_int64(statement_, next_bind_++, value);
  return *this;
}

SqliteStatement& SqliteStatement::Real(double value) {
  if (std::isnan(value)) return Text("nan");
  sqlite3_bind_double(statement_, next_bind_++, value);
  return *this;
}

SqliteStatement& SqliteStatement::Text(std::string_view value) {
  // An empty view may have no data pointer, which SQLite would take for NULL.
  sqlite3_bind_text(statement_, next_bind_++, value.empty() ? "" : value.data(), static_cast<int>(value.size()),
                    SQLITE_STATIC);
  return *this;
}

SqliteStatement& SqliteStatement::Null() {
  sqlite3_bind_null(statement_, next_bind_++);
  return *this;
}

bool SqliteStatement::Run() {
  const int code = sqlite3_step(statement_);
  const bool ok = code == SQLITE_DONE || code == SQLITE_ROW;
  // The error stays readable: reset repeats the code of the failed step.
  sqlite3_reset(statement_);
  next_bind_ = 1;
  return ok;
}

int SqliteStatement::Next() {
  const int code = sqlite3_step(statement_);
  return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : -1;
}

void SqliteStatement::Reset() {
  sqlite3_reset(statement_);
  next_bind_ = 1;
}

int64_t SqliteStatement::GetInt(int column) const { return sqlite3_column_int64(statement_, column); }

double SqliteStatement::GetReal(int column) const {
  if (sqlite3_column_type(statement_, column) == SQLITE_TEXT) return std::numeric_limits<double>::quiet_NaN();
  return sqlite3_column_double(statement_, column);
}

std::string_view SqliteStatement::GetTextView(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return text == nullptr ? std::string_view() : std::string_view(text, sqlite3_column_bytes(statement_, column));
}

std::string SqliteStatement::GetText(int column) const { return std::string(GetTextView(column)); }

bool SqliteStatement::IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

}  // namespace tunesmith
