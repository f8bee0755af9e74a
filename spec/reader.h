// Parts of the sweep-file reader: a tree of nodes becomes a spec, each mistake told with its field
// and position.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/limits.h"
#include "spec/document.h"
#include "spec/sweep_spec.h"

namespace tunesmith {

// Where the fields of a file stand, and what is wrong with them. Fields are paths such as
// "parameters.lr.uniform".
class FieldLog {
 public:
  void Note(const std::string& field, Position at) { positions_[field] = at; }
  // The file says `written` for what Validate calls `field` ("trials" for "budget.trials").
  void NoteAs(const std::string& field, const std::string& written) { written_[field] = written; }

  // At the field's position, or that of the nearest field around it.
  void Add(const std::string& field, std::string message, std::string hint);
  // A problem of Validate: renamed as the file spells it, and dropped if the field has a problem
  // already.
  void AddLate(const Problem& problem);
  // Something else is to blame for whatever is wrong with the field.
  void Excuse(const std::string& field) { blamed_.push_back(field); }

  // Of the syntax, with its position.
  void AddFound(FileProblem problem) { problems_.push_back(std::move(problem)); }

  bool empty() const { return problems_.empty(); }
  bool full() const { return problems_.size() > kProblemsMax; }  // enough for an answer
  // Sorted by position, at most kProblemsMax.
  std::vector<FileProblem> Take();

 private:
  Position At(std::string field) const;

  std::map<std::string, Position, std::less<>> positions_;
  std::map<std::string, std::string, std::less<>> written_;
  std::vector<std::string> blamed_;
  std::vector<FileProblem> problems_;
};

struct KeyReader {
  const char* key;
  std::function<void(const Node& node, const std::string& field)> read;
};

// Calls the reader of each key of an object. Unknown keys are problems with the closest known one
// as a hint, or, if `other` is given, go there. Returns false if the node is not an object.
bool ReadObject(const Node& node, const std::string& field, const std::vector<KeyReader>& keys,
                FieldLog* log,
                const std::function<void(const std::string& key, const Node& node,
                                         const std::string& field)>& other = {});

// Each writes `out` if the node is such a value, else logs what it should be.
void ReadText(const Node& node, const std::string& field, std::string* out, FieldLog* log);
void ReadBool(const Node& node, const std::string& field, bool* out, FieldLog* log);
void ReadNumber(const Node& node, const std::string& field, double* out, FieldLog* log);
void ReadInteger(const Node& node, const std::string& field, int64_t lo, int64_t hi, int64_t* out,
                 FieldLog* log);
void ReadInteger32(const Node& node, const std::string& field, int32_t* out, FieldLog* log);
void ReadDuration(const Node& node, const std::string& field, int64_t* out_ms, FieldLog* log);
void ReadSize(const Node& node, const std::string& field, int64_t* out_bytes, FieldLog* log);
bool ReadGoal(const Node& node, const std::string& field, Goal* out, FieldLog* log);
void ReadTextList(const Node& node, const std::string& field, std::vector<std::string>* out,
                  FieldLog* log);
bool ReadValue(const Node& node, const std::string& field, Value* out, FieldLog* log);

// "min", "max", "minimize", ...
std::optional<Goal> GoalFromText(std::string_view text);
// "90s", "1h30m", "500ms"; a bare number is in seconds. Milliseconds, or nullopt.
std::optional<int64_t> DurationFromText(std::string_view text);
// The shortest such text: "8h", "1500ms".
std::string DurationText(int64_t ms);

// "16GiB", "16 GB", "512MiB"; a bare number is in bytes. At most 2^53 bytes; nullopt for anything else.
std::optional<int64_t> SizeFromText(std::string_view text);
// The shortest such text.
std::string SizeText(int64_t bytes);

struct ReadParameters {
  std::vector<Parameter> parameters;
  std::set<std::string>
      broken;  // had problems; a constant stands in for each, so that its name is known
};

// The `parameters:` object.
ReadParameters ReadParameterMap(const Node& node, FieldLog* log);

// `scheduler.mutations`, which is `field`.
std::vector<Mutation> ReadMutations(const Node& node, const std::string& field, FieldLog* log);

// "optimizer == 'sgd' and layers > 2". False and `why` (with a hint) if it is not such a
// conjunction.
bool ParseWhen(std::string_view text, std::vector<Condition>* out, std::string* why,
               std::string* hint);
// The operators of conditions as the file spells them, by Condition::Op.
std::string_view OperatorText(Condition::Op op);

// A whole sweep. nullopt if there are problems in the log afterwards; on success the spec has
// passed Validate.
std::optional<SweepSpec> ReadSweep(const Node& root, FieldLog* log);
// The same of a file that may hold just a scheduler section (ParseSchedulerFile).
std::optional<SweepSpec> ReadSchedulerOf(const Node& root, FieldLog* log, const Objective* lent);

}  // namespace tunesmith
