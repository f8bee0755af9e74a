// A thin layer over the SQLite C API: statements that bind and read typed values. sqlite3.h stays in the .cc files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tunesmith {

// One connection. Not thread-safe.
class SqliteDatabase {
 public:
  static StatusOr<std::unique_ptr<SqliteDatabase>> Open(const std::string& path, bool read_only);
  ~SqliteDatabase();
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;

  Status Execute(const char* sql);
  // The last error, with `what` before it.
  Status Error(std::string_view what) const;
  sqlite3* handle() const { return handle_; }

 private:
  explicit SqliteDatabase(sqlite3* handle) : handle_(handle) {}
  sqlite3* handle_;
};

// A prepared statement. Bind in order with Int, Real, Text, Null; then Run or Next.
class SqliteStatement {
 public:
  SqliteStatement() = default;
  SqliteStatement(SqliteStatement&& other) noexcept;
  SqliteStatement& operator=(SqliteStatement&& other) noexcept;
  ~SqliteStatement();

  static StatusOr<SqliteStatement> Prepare(SqliteDatabase* database, std::string_view sql);

  SqliteStatement& Int(int64_t value);
  SqliteStatement& Real(double value);  // NaN, which SQLite would make NULL, becomes the text 'nan'
  SqliteStatement& Text(std::string_view value);  // not copied: must live until Run
  SqliteStatement& Null();

  // Executes and resets. False on an error (see SqliteDatabase::Error).
  bool Run();
  // Steps to the next row: 1 = there is one, 0 = no more, -1 = error.
  int Next();
  void Reset();

  int64_t GetInt(int column) const;
  double GetReal(int column) const;
  std::string GetText(int column) const;
  std::string_view GetTextView(int column) const;  // valid until the next step
  bool IsNull(int column) const;

 private:
  sqlite3_stmt* statement_ = nullptr;
  int next_bind_ = 1;
};

}  // namespace tunesmith
