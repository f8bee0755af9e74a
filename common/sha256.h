// SHA-256 (FIPS 180-4) of bytes that come piece by piece.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace tunesmith {

// Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Add(std::string_view bytes);
  // 64 hexadecimal digits of all that was added. Add nothing afterwards.
  std::string Hex();

 private:
  evp_md_ctx_st* context_;
};

}  // namespace tunesmith
