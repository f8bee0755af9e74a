#include "worker/trainer/image_files.h"

namespace tunesmith::trainer {
namespace {

constexpr size_t kCifarPixels = 3 * 32 * 32;
constexpr int64_t kIdxSizeMax = int64_t{1} << 31;

uint32_t BigEndian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

StatusOr<IdxFile> ParseIdx(std::string_view content, const std::string& name) {
  const auto wrong = [&](size_t byte, const std::string& what) {
    return InvalidArgument(name + ", byte " + std::to_string(byte) + ": " + what);
  };
  if (content.size() < 4)
    return wrong(content.size(), "the file ends inside the 4 bytes of the IDX header");
  if (content[0] != 0 || content[1] != 0)
    return wrong(0, "not an IDX file (it must start with two zero bytes)");
  if (content[2] != 0x08)
    return wrong(2, "IDX data type " + std::to_string(static_cast<uint8_t>(content[2])) +
                        "; unsigned bytes (8) are needed");
  const size_t dimensions = static_cast<uint8_t>(content[3]);
  if (dimensions != 1 && dimensions != 3) {
    return wrong(3,
                 std::to_string(dimensions) + " dimensions; 1 (labels) or 3 (images) are needed");
  }
  const size_t header = 4 + 4 * dimensions;
  if (content.size() < header) return wrong(content.size(), "the file ends inside the IDX header");
  IdxFile file;
  int64_t total = 1;
  for (size_t i = 0; i < dimensions; ++i) {
    const int64_t size = BigEndian(content.substr(4 + 4 * i, 4));
    if (size == 0) return wrong(4 + 4 * i, "a size of 0");
    if (total > kIdxSizeMax / size) return wrong(4 + 4 * i, "sizes above 2 GiB in all");
    total *= size;
    file.sizes.push_back(size);
  }
  const size_t held = content.size() - header;
  if (held != static_cast<size_t>(total)) {
    return wrong(content.size(), "the sizes say " + std::to_string(total) +
                                     " bytes of data, the file holds " + std::to_string(held));
  }
  file.bytes.assign(content.begin() + static_cast<ptrdiff_t>(header), content.end());
  return file;
}

Status AppendCifarBatch(std::string_view content, const std::string& name,
                        std::vector<uint8_t>* pixels, std::vector<int64_t>* labels) {
  constexpr size_t kRecord = 1 + kCifarPixels;
  if (content.empty() || content.size() % kRecord != 0) {
    return InvalidArgument(name + ", byte " + std::to_string(content.size()) +
                           ": the file must hold whole records of 3,073 bytes; it ends " +
                           std::to_string(content.size() % kRecord) + " bytes into one");
  }
  for (size_t at = 0; at < content.size(); at += kRecord) {
    const uint8_t label = static_cast<uint8_t>(content[at]);
    if (label > 9) {
      return InvalidArgument(name + ", byte " + std::to_string(at) + ": label " +
                             std::to_string(label) + "; CIFAR-10 has 0 to 9");
    }
    labels->push_back(label);
    const std::string_view image = content.substr(at + 1, kCifarPixels);
    pixels->insert(pixels->end(), image.begin(), image.end());
  }
  return OkStatus();
}

}  // namespace tunesmith::trainer
