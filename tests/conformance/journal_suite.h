// What every journal must do. Instantiate it with a factory:
//   INSTANTIATE_TEST_SUITE_P(Memory, JournalSuite, ::testing::Values(JournalFactory{...}), JournalFactoryName);
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/core/state.h"
#include "server/journal/journal.h"
#include "tests/conformance/event_text.h"
#include "tests/conformance/history.h"

namespace tunesmith {

struct JournalFactory {
  std::string name;
  // Opens the journal that lives in the folder, which exists and is empty at first. The one before is closed.
  std::function<StatusOr<std::unique_ptr<Journal>>(const std::string& folder)> open;
};

inline std::string JournalFactoryName(const ::testing::TestParamInfo<JournalFactory>& info) { return info.param.name; }

class JournalSuite : public ::testing::TestWithParam<JournalFactory> {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "tunesmith-journal-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    journal_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Open() {
    journal_.reset();
    auto opened = GetParam().open(folder_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    journal_ = std::move(*opened);
  }
  std::vector<Event> Replay() {
    std::vector<Event> events;
    const Status status = journal_->Replay([&](const Event& event) { events.push_back(event); });
    EXPECT_TRUE(status.ok()) << status;
    return events;
  }
  void Append(const std::vector<std::vector<Event>>& commits) {
    for (const auto& commit : commits) {
      const Status status = journal_->Append(commit);
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  static std::vector<Event> Flat(const std::vector<std::vector<Event>>& commits) {
    std::vector<Event> events;
    for (const auto& commit : commits) events.insert(events.end(), commit.begin(), commit.end());
    return events;
  }
  static void ExpectSame(const std::vector<Event>& actual, const std::vector<Event>& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) ASSERT_EQ(EventText(actual[i]), EventText(expected[i])) << "event " << i;
  }
  static void ExpectSameState(const std::vector<Event>& actual, const std::vector<Event>& expected) {
    State a;
    for (const Event& event : actual) a.Apply(event);
    State b;
    for (const Event& event : expected) b.Apply(event);
    EXPECT_EQ(a.Hash(), b.Hash());
    EXPECT_EQ(a.next_sweep(), b.next_sweep()) << "a number would be given twice";
    EXPECT_EQ(a.next_epoch(), b.next_epoch()) << "an epoch would be given twice";
    EXPECT_EQ(a.next_worker(), b.next_worker());
  }
  std::vector<StoredMeasurement> Read(SweepId sweep, std::optional<uint32_t> trial, uint64_t after, size_t limit) {
    auto rows = journal_->ReadMeasurements(sweep, trial, after, limit);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() ? *rows : std::vector<StoredMeasurement>();
  }
  // A row as the event that it was.
  static std::string TextOf(const StoredMeasurement& row) {
    return EventText(Measured{row.attempt, row.sequence, row.step, row.time, row.metrics, row.checkpoint, row.verdict});
  }
  void MaintainToTheEnd() {
    int pieces = 0;
    while (journal_->Maintain()) ASSERT_LT(++pieces, 100'000) << "housekeeping never ends";
  }

  std::string folder_;
  std::unique_ptr<Journal> journal_;
};

TEST_P(JournalSuite, ANewJournalIsEmpty) {
  Open();
  EXPECT_TRUE(Replay().empty());
  EXPECT_TRUE(journal_->Append({}).ok());
  Open();
  EXPECT_TRUE(Replay().empty());
  EXPECT_FALSE(journal_->Maintain());
}

TEST_P(JournalSuite, WhatWasAppendedIsReplayedToTheLastBit) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TearDown();
    SetUp();
    Open();
    const auto commits = MakeHistory({.seed = seed, .steps = 250});
    Append(commits);
    Open();
    ExpectSame(Replay(), Flat(commits));
  }
}

TEST_P(JournalSuite, AReopenedJournalGoesOnWhereItWas) {
  const auto commits = MakeHistory({.seed = 77});
  const auto middle = commits.begin() + static_cast<ptrdiff_t>(commits.size() / 2);
  Open();
  Append({commits.begin(), middle});
  Open();
  Replay();
  Append({middle, commits.end()});
  Open();
  ExpectSame(Replay(), Flat(commits));
}

TEST_P(JournalSuite, OneLargeCommitIsWhole) {
  const std::vector<Event> events = Flat(MakeHistory({.seed = 5, .steps = 4000}));
  Open();
  ASSERT_TRUE(journal_->Append(events).ok());
  Open();
  ExpectSame(Replay(), events);
}

TEST_P(JournalSuite, MeasurementsAreReadAsTheyWereRecorded) {
  const auto commits = MakeHistory({.seed = 3, .steps = 800});
  Open();
  Append(commits);
  std::map<SweepId, std::vector<std::string>> of_sweep;
  std::map<TrialId, std::vector<std::string>> of_trial;
  for (const Event& event : Flat(commits)) {
    const auto* measured = std::get_if<Measured>(&event);
    if (measured == nullptr) continue;
    of_sweep[measured->attempt.trial.sweep].push_back(EventText(event));
    of_trial[measured->attempt.trial].push_back(EventText(event));
  }
  ASSERT_GT(of_trial.size(), 5u) << "the history has too little in it";
  const auto texts = [](const std::vector<StoredMeasurement>& rows) {
    std::vector<std::string> result;
    for (const auto& row : rows) result.push_back(TextOf(row));
    return result;
  };
  for (const bool reopened : {false, true}) {
    if (reopened) {
      Open();
      Replay();
    }
    for (const auto& [sweep, expected] : of_sweep) EXPECT_EQ(texts(Read(sweep, std::nullopt, 0, 1'000'000)), expected);
    for (const auto& [trial, expected] : of_trial)
      EXPECT_EQ(texts(Read(trial.sweep, trial.number, 0, 1'000'000)), expected);
  }
}

TEST_P(JournalSuite, MeasurementsComeInPagesWithoutGapOrRepetition) {
  const auto commits = MakeHistory({.seed = 4, .steps = 600});
  Open();
  Append(commits);
  State state;
  for (const Event& event : Flat(commits)) state.Apply(event);
  for (const auto& [id, sweep] : state.sweeps()) {
    std::vector<std::optional<uint32_t>> trials = {std::nullopt};
    for (uint32_t i = 0; i < sweep->trials.size(); ++i) trials.emplace_back(i);
    for (const auto& trial : trials) {
      const auto all = Read(id, trial, 0, 1'000'000);
      EXPECT_EQ(all.size(), static_cast<size_t>(trial ? sweep->trials[*trial].measurements : sweep->measurements));
      for (const size_t limit : {1, 3, 100}) {
        std::vector<StoredMeasurement> paged;
        for (uint64_t after = 0;;) {
          const auto page = Read(id, trial, after, limit);
          ASSERT_LE(page.size(), limit);
          if (page.empty()) break;
          for (const auto& row : page) {
            ASSERT_GT(row.position, after);
            after = row.position;
            paged.push_back(row);
          }
        }
        ASSERT_EQ(paged.size(), all.size());
        for (size_t i = 0; i < all.size(); ++i) ASSERT_EQ(TextOf(paged[i]), TextOf(all[i]));
      }
    }
  }
}

TEST_P(JournalSuite, UnknownSweepsAndTrialsHaveNoMeasurements) {
  Open();
  Append(MakeHistory({.seed = 4, .steps = 100}));
  EXPECT_TRUE(Read(SweepId(999), std::nullopt, 0, 10).empty());
  EXPECT_TRUE(Read(SweepId(999), 0, 0, 10).empty());
  EXPECT_TRUE(Read(SweepId(1), 999, 0, 10).empty());
  EXPECT_TRUE(Read(SweepId(1), std::nullopt, UINT64_MAX, 10).empty());
  EXPECT_TRUE(Read(SweepId(1), std::nullopt, 0, 0).empty());
}

TEST_P(JournalSuite, ADeletedSweepIsGoneAndNothingElse) {
  for (uint64_t seed = 21; seed <= 24; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    TearDown();
    SetUp();
    Open();
    const auto commits = MakeHistory({.seed = seed, .steps = 600, .deletions = true});
    const std::vector<Event> events = Flat(commits);
    Append(commits);
    State state;
    for (const Event& event : events) state.Apply(event);
    size_t deleted = 0;
    for (const bool maintained : {false, true}) {
      if (maintained) MaintainToTheEnd();
      for (const Event& event : events) {
        const auto* gone = std::get_if<SweepDeleted>(&event);
        if (gone == nullptr) continue;
        ++deleted;
        EXPECT_TRUE(Read(gone->sweep, std::nullopt, 0, 10).empty());
        EXPECT_TRUE(Read(gone->sweep, 0, 0, 10).empty());
      }
      for (const auto& [id, sweep] : state.sweeps()) {
        EXPECT_EQ(Read(id, std::nullopt, 0, 1'000'000).size(), static_cast<size_t>(sweep->measurements));
      }
      Open();
      ExpectSameState(Replay(), events);
    }
    EXPECT_GT(deleted, 0u) << "the history has no deletion in it";
  }
}

TEST_P(JournalSuite, HousekeepingMayBeCutShortAndGoesOnLater) {
  Open();
  const auto commits = MakeHistory({.seed = 31, .steps = 600, .deletions = true});
  Append(commits);
  for (int i = 0; i < 3; ++i) journal_->Maintain();
  Open();
  ExpectSameState(Replay(), Flat(commits));
  MaintainToTheEnd();
  Open();
  ExpectSameState(Replay(), Flat(commits));
}

TEST_P(JournalSuite, MeasurementsCanBeReadWhileOthersAreAppended) {
  Open();
  const auto commits = MakeHistory({.seed = 6, .steps = 1500});
  size_t total = 0;
  std::map<SweepId, size_t> per_sweep;
  for (const Event& event : Flat(commits)) {
    if (const auto* measured = std::get_if<Measured>(&event)) ++per_sweep[measured->attempt.trial.sweep], ++total;
  }
  ASSERT_GT(total, 100u);
  const SweepId sweep = per_sweep.begin()->first;
  std::atomic<bool> written{false};
  std::string trouble;
  std::thread reader([&] {
    for (bool last = false; !last && trouble.empty();) {
      last = written;  // one more look after the end
      uint64_t after = 0;
      for (;;) {
        auto page = journal_->ReadMeasurements(sweep, std::nullopt, after, 7);
        if (!page.ok()) {
          trouble = Message(page.status());
          return;
        }
        if (page->empty()) break;
        for (const auto& row : *page) {
          if (row.position <= after) trouble = "positions do not grow";
          after = row.position;
        }
      }
    }
  });
  Append(commits);
  written = true;
  reader.join();
  EXPECT_EQ(trouble, "");
  EXPECT_EQ(Read(sweep, std::nullopt, 0, 1'000'000).size(), per_sweep[sweep]);
}

}  // namespace tunesmith
