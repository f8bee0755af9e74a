// The two classic binary formats of labelled images.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/status.h"

namespace tunesmith::trainer {

// One IDX file of unsigned bytes (http://yann.lecun.com/exdb/mnist, "the IDX file format"):
// big-endian sizes, then data.
struct IdxFile {
  std::vector<int64_t> sizes;  // 1 (labels) or 3 (images: count, rows, columns)
  std::vector<uint8_t> bytes;
};

// INVALID_ARGUMENT gives `name` and the byte: wrong magic, other than unsigned bytes, sizes of 0 or
// that do not match the length of the file.
StatusOr<IdxFile> ParseIdx(std::string_view content, const std::string& name);

// Appends one CIFAR-10 binary batch (https://www.cs.toronto.edu/~kriz/cifar.html): records of a
// label byte and 3,072 pixels, red, green and blue planes of 32x32. INVALID_ARGUMENT gives `name`
// and the byte.
Status AppendCifarBatch(std::string_view content, const std::string& name,
                        std::vector<uint8_t>* pixels, std::vector<int64_t>* labels);

}  // namespace tunesmith::trainer
