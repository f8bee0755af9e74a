#include "bench/search/tables.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string_view>

namespace tunesmith::bench {
namespace {

struct Family {
  std::string_view prefix, name;
  bool log;                      // the loss is the logarithm of the result; else minus the result
  std::set<size_t> categorical;  // axes whose order says nothing
};

const std::vector<Family>& Families() {
  static const std::vector<Family> families = {
      {"hpolib_", "hpolib", true, {0, 1, 6}},
      {"hpobench_", "hpobench", false, {}},
      {"nasbench201_", "nas201", false, {0, 1, 2, 3, 4, 5}},
  };
  return families;
}

struct Table {
  std::vector<int32_t> sizes;
  std::vector<double> loss;
};

bool Read(std::ifstream* in, void* out, size_t bytes) {
  in->read(static_cast<char*>(out), static_cast<std::streamsize>(bytes));
  return in->gcount() == static_cast<std::streamsize>(bytes);
}

bool ReadTable(const std::string& path, Table* table) {
  std::ifstream in(path, std::ios::binary);
  int32_t axes = 0;
  if (!Read(&in, &axes, sizeof axes) || axes < 1 || axes > 64) return false;
  table->sizes.resize(static_cast<size_t>(axes));
  if (!Read(&in, table->sizes.data(), 4 * table->sizes.size())) return false;
  size_t cells = 1;
  for (const int32_t size : table->sizes) {
    if (size < 1 || size > 1'000'000 || (cells *= static_cast<size_t>(size)) > 100'000'000)
      return false;
  }
  table->loss.resize(cells);
  return Read(&in, table->loss.data(), 8 * cells) && in.peek() == std::ifstream::traits_type::eof();
}

Space GridSpace(const std::vector<int32_t>& sizes, const std::set<size_t>& categorical) {
  std::vector<Parameter> parameters;
  for (size_t axis = 0; axis < sizes.size(); ++axis) {
    Parameter p;
    p.name = "axis" + std::to_string(axis);
    if (categorical.contains(axis)) {
      p.distribution = Distribution::kChoice;
      for (int64_t v = 0; v < sizes[axis]; ++v) p.options.emplace_back("v" + std::to_string(v));
    } else {
      p.distribution = Distribution::kRandInt;
      p.hi = sizes[axis];
    }
    parameters.push_back(std::move(p));
  }
  Problems problems;
  return *Space::Create(std::move(parameters), &problems);
}

size_t Cell(const Space& space, const Point& point) {
  size_t cell = 0;
  for (size_t i = 0; i < space.size(); ++i)
    cell = cell * *space.ValueCount(i) + *space.IndexOf(i, point[i]);
  return cell;
}

}  // namespace

void LoadTable(const std::string& path, std::vector<Task>* tasks, Problems* problems) {
  const std::string name = std::filesystem::path(path).stem().string();
  const auto family = std::find_if(Families().begin(), Families().end(),
                                   [&](const Family& f) { return name.starts_with(f.prefix); });
  if (family == Families().end()) {
    problems->push_back(
        {path, "of no known family", "name it hpolib_*, hpobench_* or nasbench201_*"});
    return;
  }
  auto table = std::make_shared<Table>();
  if (!ReadTable(path, table.get())) {
    problems->push_back(
        {path, "not a table of results", "bench/search/README.md says what it holds"});
    return;
  }
  std::vector<double> sorted;
  for (double& value : table->loss) {
    value = family->log ? std::log(value) : -value;
    if (std::isfinite(value)) sorted.push_back(value);
  }
  if (sorted.size() < 2) {
    problems->push_back({path, "no results in it", ""});
    return;
  }
  std::sort(sorted.begin(), sorted.end());
  Task task;
  task.name = name;
  task.family = family->name;
  task.data = true;
  task.space = GridSpace(table->sizes, family->categorical);
  task.loss = [table, space = task.space](const Point& point) {
    return table->loss[Cell(space, point)];
  };
  task.optimum = sorted.front();
  task.median = sorted[sorted.size() / 2];
  tasks->push_back(std::move(task));
}

}  // namespace tunesmith::bench
