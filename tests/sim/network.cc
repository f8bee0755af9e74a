#include "tests/sim/network.h"

#include <algorithm>

namespace tunesmith::sim {

namespace {
constexpr Duration kNever{-1};
// Messages to a daemon that does not read; the real limit, kSessionQueueMax, is not reached in so short a time.
constexpr size_t kUnreadMax = 20;
}

int Network::AddClient(StreamClient* client) {
  clients_.push_back(client);
  partitioned_until_.emplace_back();
  return static_cast<int>(clients_.size()) - 1;
}

Duration Network::Delay() { return world_->Draw(Milliseconds(options_->delay_ms_mean)); }

Network::Link* Network::Find(SessionId session) {
  const auto it = links_.find(session);
  return it == links_.end() ? nullptr : &it->second;
}

Network::Link* Network::LinkOf(int client) {
  for (auto& [session, link] : links_) {
    if (link.client == client && !link.cut) return &link;
  }
  return nullptr;
}

void Network::Connect(int client) {
  world_->After(Delay(), [this, client] {
    if (!up_() || partitioned_until_[client] > world_->now()) {
      clients_[client]->OnConnectFailed();
      return;
    }
    Link link;
    link.session = SessionId(++last_session_);
    link.client = client;
    const SessionId session = link.session;
    links_[session] = link;
    clients_[client]->OnConnected(session);
  });
}

void Network::SendUp(SessionId session, ToController message) {
  Link* link = Find(session);
  if (link == nullptr || link->cut || link->up_lost) return;
  link->up_free = std::max(link->up_free, world_->now() + Delay());
  world_->After(link->up_free - world_->now(),
                [this, session, message = std::move(message)]() mutable { Deliver(session, std::move(message)); });
}

void Network::Deliver(SessionId session, ToController message) {
  Link* link = Find(session);
  if (link == nullptr || (link->cut && !link->late) || link->controller_knows || !up_()) return;
  if (link->cut) world_->Count("late messages");
  link->controller_met = true;
  if (auto* hello = std::get_if<WorkerHello>(&message)) {
    post_(WorkerConnected{session, std::move(*hello)});
  } else if (const auto* heartbeat = std::get_if<HeartbeatMessage>(&message)) {
    post_(WorkerHeartbeat{session, heartbeat->draining});
  } else if (auto* devices = std::get_if<DevicesMessage>(&message)) {
    post_(WorkerDevices{session, std::move(devices->held)});
  } else {
    post_(WorkerRecords{session, std::move(std::get<std::vector<WorkerRecord>>(message))});
  }
}

void Network::SendDown(SessionId session, ToWorker message) {
  Link* link = Find(session);
  if (link == nullptr || link->cut || link->down_lost) return;
  const Time at_once = world_->now() + Seconds(1);
  link->down_free = std::max(link->down_free, world_->now() + Delay());
  if (link->down_free > at_once && link->down_waiting >= kUnreadMax) {
    world_->Count("streams closed unread");
    return Cut(link, world_->Between(Seconds(1), Seconds(15)), Duration{0});
  }
  ++link->down_waiting;
  world_->After(link->down_free - world_->now(), [this, session, message = std::move(message)] {
    Link* now = Find(session);
    if (now == nullptr) return;
    --now->down_waiting;
    if (!now->cut && !now->down_lost) clients_[now->client]->OnReceived(session, message);
  });
}

void Network::CloseByController(SessionId session) {
  Link* link = Find(session);
  if (link == nullptr) return;
  if (link->cut) return;
  // What was sent before arrives before the end.
  const Duration wait = std::max(link->down_free, world_->now() + Delay()) - world_->now();
  world_->After(wait, [this, session] {
    Link* now = Find(session);
    if (now != nullptr && !now->cut) Cut(now, Duration{0}, Delay());
  });
}

void Network::TellClient(SessionId session) {
  Link* link = Find(session);
  if (link == nullptr || link->client_knows) return;
  link->client_knows = true;
  clients_[link->client]->OnClosed(session);
}

void Network::TellController(SessionId session) {
  Link* link = Find(session);
  if (link == nullptr || link->controller_knows) return;
  link->controller_knows = true;
  if (link->controller_met && up_()) post_(WorkerDisconnected{session});
}

void Network::Cut(Link* link, Duration client_notice, Duration controller_notice) {
  link->cut = true;
  const SessionId session = link->session;
  if (client_notice.ms >= 0) world_->After(client_notice, [this, session] { TellClient(session); });
  if (controller_notice.ms >= 0) world_->After(controller_notice, [this, session] { TellController(session); });
}

void Network::ClientDied(int client) {
  if (const Link* link = LinkOf(client)) Drop(link->session);
}

void Network::Drop(SessionId session) {
  Link* link = Find(session);
  if (link == nullptr || link->cut) return;
  link->client_knows = true;
  Cut(link, kNever, Delay());
}

void Network::ControllerDied() {
  for (auto& [session, link] : links_) {
    link.controller_knows = true;
    if (!link.cut) Cut(&link, Delay(), kNever);
  }
}

void Network::Break(int client) {
  Link* link = LinkOf(client);
  if (link == nullptr) return;
  world_->Log([&] { return "break stream of worker " + std::to_string(client); });
  world_->Count("broken streams");
  if (!world_->Chance(options_->late)) return Cut(link, Delay(), Delay());
  // The daemon is back before the controller has read what it sent on the old stream.
  link->late = true;
  link->up_free = std::max(link->up_free, world_->now());
  const Time read = link->up_free + world_->Between(Milliseconds(1), Seconds(10));
  Cut(link, Delay(), read - world_->now());
}

void Network::LoseOneWay(int client, bool up, Duration duration) {
  world_->Log([&] {
    return std::string("lose ") + (up ? "up" : "down") + "stream of worker " + std::to_string(client) + " for " +
           std::to_string(duration.ms) + " ms";
  });
  world_->Count(up ? "one-way losses up" : "one-way losses down");
  // A new stream needs both directions.
  partitioned_until_[client] = std::max(partitioned_until_[client], world_->now() + duration);
  Link* link = LinkOf(client);
  if (link == nullptr) return;
  (up ? link->up_lost : link->down_lost) = true;
  const bool by_client = world_->Chance(0.5);
  world_->After(world_->Between(Seconds(1), Seconds(40)),
                [this, session = link->session, by_client] { NoticeOneWay(session, by_client); });
}

// Its keepalive, or its unanswered segments, tell one end. The other hears of it only if that direction works.
void Network::NoticeOneWay(SessionId session, bool by_client) {
  Link* link = Find(session);
  if (link == nullptr || link->cut) return;
  const bool other_hears = by_client ? !link->up_lost : !link->down_lost;
  Duration other = other_hears ? Delay() : world_->Between(Seconds(1), Seconds(40));
  // The lease tells a controller that hears nothing.
  if (!other_hears && by_client && world_->Chance(0.5)) other = kNever;
  Cut(link, by_client ? Duration{0} : other, by_client ? other : Duration{0});
}

void Network::Stall(int client, bool up, Duration duration) {
  Link* link = LinkOf(client);
  if (link == nullptr) return;
  world_->Log([&] {
    return std::string(up ? "controller" : "worker ") + (up ? "" : std::to_string(client)) + " does not read " +
           (up ? "worker " + std::to_string(client) + " " : "") + "for " + std::to_string(duration.ms) + " ms";
  });
  world_->Count(up ? "stalled streams up" : "stalled streams down");
  Time& free = up ? link->up_free : link->down_free;
  free = std::max(free, world_->now() + duration);
}

void Network::Partition(int client, Duration duration) {
  world_->Log([&] {
    return "partition worker " + std::to_string(client) + " for " + std::to_string(duration.ms) + " ms";
  });
  world_->Count("partitions");
  partitioned_until_[client] = std::max(partitioned_until_[client], world_->now() + duration);
  Link* link = LinkOf(client);
  if (link == nullptr) return;
  // Keepalive finds a dead peer late; the controller may hear nothing at all until the lease runs out.
  const Duration client_notice = world_->Between(Seconds(1), Seconds(15));
  const Duration controller_notice = world_->Chance(0.5) ? kNever : world_->Between(Seconds(1), Seconds(30));
  Cut(link, client_notice, controller_notice);
}

void Network::Heal() {
  for (Time& until : partitioned_until_) until = Time{};
}

}  // namespace tunesmith::sim
