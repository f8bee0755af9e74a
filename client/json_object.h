// Writes JSON objects and lists, member by member. Names are written as given and must be distinct.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/json_text.h"

namespace tunesmith {

class JsonObject {
 public:
  JsonObject& Text(std::string_view name, std::string_view value) {
    AppendJsonString(value, Member(name));
    return *this;
  }
  JsonObject& Number(std::string_view name, double value) {
    AppendJsonDouble(value, Member(name));
    return *this;
  }
  template <std::integral T>
  JsonObject& Integer(std::string_view name, T value) {
    *Member(name) += std::to_string(value);
    return *this;
  }
  JsonObject& Bool(std::string_view name, bool value) {
    return Raw(name, value ? "true" : "false");
  }
  JsonObject& Null(std::string_view name) { return Raw(name, "null"); }
  // `json` is JSON already.
  JsonObject& Raw(std::string_view name, std::string_view json) {
    *Member(name) += json;
    return *this;
  }
  std::string Finish() const { return text_ + "}"; }

 private:
  std::string* Member(std::string_view name) {
    if (text_.size() > 1) text_ += ',';
    AppendJsonString(name, &text_);
    text_ += ':';
    return &text_;
  }
  std::string text_ = "{";
};

class JsonList {
 public:
  JsonList& Raw(std::string_view json) {
    if (text_.size() > 1) text_ += ',';
    text_ += json;
    return *this;
  }
  JsonList& Text(std::string_view value) {
    std::string json;
    AppendJsonString(value, &json);
    return Raw(json);
  }
  JsonList& Number(double value) {
    std::string json;
    AppendJsonDouble(value, &json);
    return Raw(json);
  }
  std::string Finish() const { return text_ + "]"; }

 private:
  std::string text_ = "[";
};

}  // namespace tunesmith
