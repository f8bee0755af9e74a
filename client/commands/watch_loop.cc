#include "client/commands/watch_loop.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>
#include <utility>
#include <vector>

#include "client/api/connection.h"
#include "client/api/convert.h"
#include "client/api/live_sweep.h"
#include "client/api/watch_reader.h"
#include "client/commands/report.h"
#include "client/exit_codes.h"
#include "client/signals.h"
#include "client/summary.h"
#include "client/table.h"
#include "client/term.h"

namespace tunesmith {
namespace {

constexpr int64_t kFrameMs = 100;    // at most 10 frames a second
constexpr int64_t kClockMs = 1'000;  // the elapsed time is news once a second
constexpr int64_t kReconnectPauseMsMin = 200;
constexpr int64_t kReconnectPauseMsMax = 5'000;
constexpr int64_t kReconnectGiveUpMs = 10 * 60'000;
constexpr int64_t kInterruptWaitMs =
    60'000;  // for trials to leave; the worker kills them after their grace period

int64_t SteadyMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class WatchLoop {
 public:
  WatchLoop(Connection* connection, const Settings& settings, const WatchRequest& request,
            Output* out)
      : connection_(connection),
        settings_(settings),
        request_(request),
        out_(out),
        painter_(FdSink(STDOUT_FILENO)),
        start_ms_(SteadyMs()) {
    live_table_ =
        settings.format == OutputFormat::kTable && settings.can_repaint && !settings.quiet;
  }

  WatchResult Run() {
    Open();
    while (!result_.has_value()) {
      Wait();
      HandleSignals();
      if (!result_.has_value()) TakeMessages();
      if (!result_.has_value()) CheckTime();
      if (!result_.has_value()) CheckLocal();
      if (!result_.has_value()) MaybePaint();
    }
    Close();
    return *result_;
  }

 private:
  void Open() {
    reader_ = std::make_unique<WatchReader>(connection_->client().Watch(request_.sweep, kFrameMs));
  }

  void End(WatchResult::End end, int exit_code) {
    WatchResult result;
    result.end = end;
    result.exit_code = exit_code;
    result.hurry = signals_seen_ > 1;
    const v1::Sweep::Counts& counts = live_.sweep().counts();
    result.trials_ended =
        counts.completed() + counts.stopped() + counts.failed() + counts.cancelled();
    result.trials_target = counts.target();
    result_ = result;
  }

  void Wait() {
    int64_t until_ms = SteadyMs() + kClockMs;
    // Only the table is painted; lines are written as they come.
    if (dirty_ && live_table_ && live_.ready()) until_ms = std::min(until_ms, painted_ms_ + kFrameMs);
    if (reconnect_at_ms_ > 0) until_ms = std::min(until_ms, reconnect_at_ms_);
    if (request_.timeout_ms > 0) until_ms = std::min(until_ms, start_ms_ + request_.timeout_ms);
    pollfd fds[2] = {{signals_.fd(), POLLIN, 0},
                     {reader_ != nullptr ? reader_->fd() : -1, POLLIN, 0}};
    ::poll(fds, 2, static_cast<int>(std::clamp<int64_t>(until_ms - SteadyMs(), 0, kClockMs)));
  }

  void HandleSignals() {
    while (const int signal = signals_.Next()) {
      if (signal == SIGWINCH) {
        dirty_ = true;
        continue;
      }
      ++signals_seen_;
      if (!request_.interrupt || signals_seen_ > 1)
        return End(WatchResult::End::kInterrupted, kExitInterrupted);
      Interrupt();
    }
  }

  void Interrupt() {
    interrupted_ms_ = SteadyMs();
    Tell(request_.interrupt());
    notice_ = "stopping: running trials are asked to leave; Ctrl-C again ends them at once";
  }

  void TakeMessages() {
    if (reader_ == nullptr) return;
    std::optional<Status> end;
    for (const v1::WatchSweepResponse& response : reader_->Take(&end)) {
      for (const ProgressEvent& event : live_.Apply(response, WallMs())) Print(event);
      dirty_ = true;
    }
    if (out_->broken()) return Interrupted();
    if (live_.ready()) Reconnected();
    if (end.has_value()) StreamEnded(*end);
  }

  // Nobody reads what is written: as if the user had pressed Ctrl-C.
  void Interrupted() {
    if (request_.interrupt && signals_seen_++ == 0) request_.interrupt();
    End(WatchResult::End::kInterrupted, kExitInterrupted);
  }

  void StreamEnded(const Status& status) {
    reader_.reset();
    if (status.ok() && live_.ended())
      return End(WatchResult::End::kEnded, ExitCodeOf(live_.sweep()));
    const bool again = status.ok() || status.code() == StatusCode::kUnavailable ||
                       status.code() == StatusCode::kResourceExhausted;
    if (!again) {
      Clear();
      Fail(status.code() == StatusCode::kNotFound
               ? NotFound("sweep " + request_.sweep + " has been deleted")
               : status);
      return End(WatchResult::End::kLost, kExitError);
    }
    const int64_t now_ms = SteadyMs();
    if (lost_since_ms_ == 0) {
      lost_since_ms_ = now_ms;
      reconnect_pause_ms_ = kReconnectPauseMsMin;
      if (!status.ok()) Tell("the controller went away; connecting again ...");
    }
    if (!status.ok()) notice_ = "the controller is away; connecting again ...";
    if (now_ms - lost_since_ms_ > kReconnectGiveUpMs) {
      Clear();
      Fail(status);
      return End(WatchResult::End::kLost, kExitUnreachable);
    }
    reconnect_at_ms_ = now_ms + reconnect_pause_ms_;
    reconnect_pause_ms_ = std::min(reconnect_pause_ms_ * 2, kReconnectPauseMsMax);
    dirty_ = true;
  }

  void Reconnected() {
    if (lost_since_ms_ == 0 || reader_ == nullptr) return;
    lost_since_ms_ = 0;
    notice_.clear();
    Tell("connected again");
  }

  void CheckTime() {
    const int64_t now_ms = SteadyMs();
    if (reconnect_at_ms_ > 0 && now_ms >= reconnect_at_ms_) {
      reconnect_at_ms_ = 0;
      const Status status = connection_->Reconnect();
      if (status.ok()) {
        Open();
      } else {
        StreamEnded(status);
      }
    }
    if (request_.timeout_ms > 0 && !timed_out_ && now_ms - start_ms_ >= request_.timeout_ms) {
      timed_out_ = true;
      if (!request_.interrupt) return End(WatchResult::End::kTimeout, kExitTimeout);
      Interrupt();
    }
    if (interrupted_ms_ == 0) return;
    const bool quiet_now = live_.ready() && live_.active() == 0;
    if (quiet_now || now_ms - interrupted_ms_ > kInterruptWaitMs) {
      timed_out_ ? End(WatchResult::End::kTimeout, kExitTimeout)
                 : End(WatchResult::End::kInterrupted, kExitInterrupted);
    }
  }

  void CheckLocal() {
    if (connection_->local() == nullptr || interrupted_ms_ > 0) return;
    const std::string news = connection_->local()->WatchWorker();
    if (news != worker_news_ && !news.empty()) Tell(news);
    worker_news_ = news;
  }

  // News of this program itself, not of the sweep.
  void Tell(const std::string& text) {
    if (text.empty() || settings_.quiet) return;
    if (settings_.format == OutputFormat::kJsonl) return Print(NoticeEvent(text, WallMs()));
    Clear();
    Say(text);
    dirty_ = true;
  }

  void Print(const ProgressEvent& event) {
    if (settings_.quiet || live_table_) return;
    if (settings_.format == OutputFormat::kJsonl) {
      out_->Write(EventJson(event, request_.sweep) + "\n");
    } else if (settings_.format == OutputFormat::kTable &&
               event.kind != ProgressEvent::Kind::kReport) {
      out_->Write(EventText(event, settings_.unicode) + "\n");
    }
    out_->Flush();
  }

  std::vector<std::string> Hints() const {
    if (interrupted_ms_ > 0) return {"Ctrl-C again: end now"};
    return {request_.interrupt ? "Ctrl-C stop, to be continued later"
                               : "Ctrl-C detach; the sweep goes on"};
  }

  RenderOptions Render(TermSize size) const {
    RenderOptions options;
    options.width = size.width;
    options.height = size.height > 1 ? size.height - 1 : 1;
    options.color = settings_.color;
    options.unicode = settings_.unicode;
    return options;
  }

  void MaybePaint() {
    const int64_t now_ms = SteadyMs();
    if (!live_table_ || !live_.ready()) return;
    if (now_ms - painted_ms_ < (dirty_ ? kFrameMs : kClockMs)) return;
    Paint(Hints());
  }

  void Paint(std::vector<std::string> hints) {
    painted_ms_ = SteadyMs();
    dirty_ = false;
    const TermSize size = TerminalSize(STDOUT_FILENO, ProcessEnvironment());
    ViewOptions options;
    options.now_ms = WallMs();
    if (connection_->local() == nullptr) options.controller = connection_->client().address();
    options.notice = notice_.empty() ? worker_news_ : notice_;
    options.hints = std::move(hints);
    painter_.Paint(RenderTable(live_.View(options), Render(size)), size);
  }

  void Clear() {
    if (live_table_) painter_.Clear();
  }

  void Close() {
    reader_.reset();
    if (live_table_ && live_.ready()) {
      notice_.clear();
      worker_news_.clear();
      Paint({});
      painter_.Release();
    }
    if (result_->end != WatchResult::End::kEnded || settings_.quiet) return;
    if (settings_.format == OutputFormat::kJson) {
      out_->Write(SweepJson(live_.sweep(), true) + "\n");
    } else if (settings_.format == OutputFormat::kTable) {
      WriteSummary();
    }
    out_->Flush();
  }

  void WriteSummary() {
    SummaryView summary = live_.Summary(WallMs());
    const std::string program = connection_->Program();
    if (summary.best.has_value())
      summary.next.push_back(program + " best " + summary.name + " -o args");
    if (!summary.front.empty()) summary.next.push_back(program + " best " + summary.name);
    if (!summary.failures.empty() && !summary.failures.front().trials.empty()) {
      summary.next.push_back(program + " logs " + summary.name + " " +
                             std::to_string(summary.failures.front().trials.front()));
    }
    summary.next.push_back(program + " export " + summary.name + " -o csv");
    RenderOptions options = Render(TerminalSize(STDOUT_FILENO, ProcessEnvironment()));
    if (!settings_.is_terminal) options.width = 100;
    options.height = 0;
    if (live_table_) out_->Write("\n");
    for (const std::string& line : RenderSummary(summary, options)) out_->Write(line + "\n");
  }

  Connection* connection_;
  const Settings& settings_;
  const WatchRequest& request_;
  Output* out_;
  SignalPipe signals_;
  Repainter painter_;
  LiveSweep live_;
  std::unique_ptr<WatchReader> reader_;
  std::optional<WatchResult> result_;
  bool live_table_ = false;
  bool dirty_ = false;
  bool timed_out_ = false;
  int signals_seen_ = 0;
  int64_t start_ms_;
  int64_t painted_ms_ = 0;
  int64_t interrupted_ms_ = 0;   // 0 = not interrupted
  int64_t lost_since_ms_ = 0;    // 0 = connected
  int64_t reconnect_at_ms_ = 0;  // 0 = not due
  int64_t reconnect_pause_ms_ = kReconnectPauseMsMin;
  std::string notice_;
  std::string worker_news_;
};

}  // namespace

WatchResult WatchToEnd(Connection* connection, const Settings& settings,
                       const WatchRequest& request, Output* out) {
  return WatchLoop(connection, settings, request, out).Run();
}

}  // namespace tunesmith
