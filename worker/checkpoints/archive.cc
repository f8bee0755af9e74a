#include "worker/checkpoints/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

namespace tunesmith::worker {
namespace fs = std::filesystem;

namespace {

constexpr char kFromZeroEntry[] = ".tunesmith-from-zero";
constexpr size_t kBlockBytes = 256 << 10;

struct EndWrite {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct EndRead {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct EndEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using Entry = std::unique_ptr<archive_entry, EndEntry>;

// What the library's callbacks need.
struct Output {
  const ByteSink* sink;
  Status status;
};

la_ssize_t WriteBytes(archive* a, void* self, const void* bytes, size_t size) {
  auto* output = static_cast<Output*>(self);
  output->status = (*output->sink)({static_cast<const char*>(bytes), size});
  if (output->status.ok()) return static_cast<la_ssize_t>(size);
  archive_set_error(a, EIO, "the sink failed");
  return -1;
}

// Whether the path, with all of its "..", stays where it starts.
bool StaysInside(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return !normal.is_absolute() && (normal.empty() || *normal.begin() != "..");
}

// Downwards only: "..", through another link, could lead anywhere.
bool IsSafeLink(const fs::path& target) {
  return target.is_relative() && std::find(target.begin(), target.end(), "..") == target.end();
}

class Packer {
 public:
  Packer(fs::path folder, const ByteSink& sink) : folder_(std::move(folder)), output_{&sink, OkStatus()} {}

  Status Open() {
    archive_write_set_format_pax_restricted(tar_.get());
    archive_write_set_bytes_per_block(tar_.get(), kBlockBytes);
    archive_write_set_bytes_in_last_block(tar_.get(), 512);
    if (archive_write_open(tar_.get(), &output_, nullptr, WriteBytes, nullptr) != ARCHIVE_OK) return Failed();
    return OkStatus();
  }

  Status Add(const fs::path& name) {
    const fs::path path = folder_ / name;
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "cannot read " + path.string());
    if (S_ISDIR(info.st_mode)) return AddFolder(name);
    if (S_ISREG(info.st_mode)) return AddFile(name, info);
    if (!S_ISLNK(info.st_mode)) return OkStatus();  // sockets and the like are no checkpoint
    std::error_code error;
    const fs::path target = fs::read_symlink(path, error);
    if (error || !IsSafeLink(target)) return OkStatus();
    Entry entry = NewEntry(name, AE_IFLNK, 0777);
    archive_entry_set_symlink(entry.get(), target.c_str());
    return Header(entry.get());
  }

  Status AddMark(const char* name) { return Header(NewEntry(name, AE_IFREG, 0644).get()); }

  Status Close() { return archive_write_close(tar_.get()) == ARCHIVE_OK ? OkStatus() : Failed(); }

 private:
  static Entry NewEntry(const fs::path& name, unsigned type, unsigned mode) {
    Entry entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), name.c_str());
    archive_entry_set_filetype(entry.get(), type);
    archive_entry_set_perm(entry.get(), mode);
    archive_entry_set_size(entry.get(), 0);
    archive_entry_set_mtime(entry.get(), 0, 0);
    return entry;
  }

  Status Header(archive_entry* entry) {
    return archive_write_header(tar_.get(), entry) == ARCHIVE_OK ? OkStatus() : Failed();
  }

  Status AddFolder(const fs::path& name) {
    if (!name.empty()) TS_RETURN_IF_ERROR(Header(NewEntry(name, AE_IFDIR, 0755).get()));
    std::error_code error;
    std::vector<fs::path> children;
    for (auto child = fs::directory_iterator(folder_ / name, error);
         !error && child != fs::directory_iterator(); child.increment(error)) {
      children.push_back(child->path().filename());
    }
    if (error) return ErrnoStatus(error.value(), "cannot read " + (folder_ / name).string());
    std::sort(children.begin(), children.end());
    for (const fs::path& child : children) TS_RETURN_IF_ERROR(Add(name / child));
    return OkStatus();
  }

  Status AddFile(const fs::path& name, const struct stat& info) {
    const fs::path path = folder_ / name;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return ErrnoStatus(errno, "cannot read " + path.string());
    Entry entry = NewEntry(name, AE_IFREG, (info.st_mode & S_IXUSR) != 0 ? 0755 : 0644);
    archive_entry_set_size(entry.get(), info.st_size);
    Status status = Header(entry.get());
    int64_t left = info.st_size;
    std::vector<char> block(kBlockBytes);
    while (status.ok() && left > 0) {
      const auto wanted = static_cast<size_t>(std::min<int64_t>(left, kBlockBytes));
      const ssize_t n = read(fd, block.data(), wanted);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) status = ErrnoStatus(errno, "cannot read " + path.string());
      if (n == 0) status = FailedPrecondition(path.string() + " became shorter while it was read");
      if (n <= 0) break;
      if (archive_write_data(tar_.get(), block.data(), static_cast<size_t>(n)) != n) status = Failed();
      left -= n;
    }
    close(fd);
    return status;
  }

  Status Failed() {
    if (!output_.status.ok()) return output_.status;
    const char* why = archive_error_string(tar_.get());
    return Internal(std::string("cannot pack a checkpoint: ") + (why == nullptr ? "unknown" : why));
  }

  const fs::path folder_;
  Output output_;
  std::unique_ptr<archive, EndWrite> tar_{archive_write_new()};
};

Status CopyData(archive* from, const fs::path& path, unsigned mode) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return ErrnoStatus(errno, "cannot write " + path.string());
  const void* block = nullptr;
  size_t size = 0;
  la_int64_t offset = 0;
  int more = ARCHIVE_OK;
  Status status;
  while (status.ok() && (more = archive_read_data_block(from, &block, &size, &offset)) == ARCHIVE_OK) {
    const char* next = static_cast<const char*>(block);
    for (size_t left = size; left > 0;) {
      const ssize_t n = pwrite(fd, next, left, offset);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        status = ErrnoStatus(errno, "cannot write " + path.string());
        break;
      }
      next += n;
      offset += n;
      left -= static_cast<size_t>(n);
    }
  }
  if (status.ok() && more != ARCHIVE_EOF) status = DataLoss("a checkpoint's archive is damaged");
  close(fd);
  return status;
}

}  // namespace

StatusOr<std::string> CheckpointName(const std::string& folder, const std::string& text) {
  const fs::path given(text);
  const fs::path name = given.is_absolute() ? given.lexically_relative(fs::path(folder)) : given;
  if (text.empty() || name.empty() || !StaysInside(name)) {
    return InvalidArgument("the checkpoint \"" + text + "\" is not in " + folder + "; write it there and name it");
  }
  std::string normal = name.lexically_normal().string();
  while (!normal.empty() && normal.back() == '/') normal.pop_back();
  return normal == "." ? std::string() : normal;
}

Status PackCheckpoint(const std::string& folder, const std::string& name, bool from_zero, const ByteSink& sink) {
  if (!StaysInside(name)) return InvalidArgument("\"" + name + "\" leads out of " + folder);
  std::error_code error;
  const fs::path path = fs::path(folder) / name;
  if (!fs::exists(fs::symlink_status(path, error))) return NotFound("there is no " + path.string());
  if (fs::is_directory(path, error) && fs::is_empty(path, error)) return NotFound("nothing is in " + path.string());
  Packer packer(folder, sink);
  TS_RETURN_IF_ERROR(packer.Open());
  if (from_zero) TS_RETURN_IF_ERROR(packer.AddMark(kFromZeroEntry));
  TS_RETURN_IF_ERROR(packer.Add(name));
  return packer.Close();
}

StatusOr<Unpacked> UnpackCheckpoint(const std::string& archive_path, const std::string& folder) {
  std::unique_ptr<archive, EndRead> tar(archive_read_new());
  archive_read_support_format_tar(tar.get());
  if (archive_read_open_filename(tar.get(), archive_path.c_str(), kBlockBytes) != ARCHIVE_OK) {
    return DataLoss("cannot read the archive of a checkpoint: " + std::string(archive_error_string(tar.get())));
  }
  Unpacked unpacked;
  archive_entry* entry = nullptr;
  int more = ARCHIVE_OK;
  while ((more = archive_read_next_header(tar.get(), &entry)) == ARCHIVE_OK) {
    const char* text = archive_entry_pathname(entry);
    const fs::path name = text == nullptr ? fs::path() : fs::path(text).lexically_normal();
    if (name == kFromZeroEntry) {
      unpacked.from_zero = true;
      continue;
    }
    if (name.empty() || !StaysInside(name)) return DataLoss("a checkpoint's archive holds a path that leads out");
    const fs::path path = fs::path(folder) / name;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    const unsigned type = archive_entry_filetype(entry);
    const fs::path fresh = path.string() + ".new";
    if (type == AE_IFDIR) {
      fs::create_directories(path, error);
    } else if (type == AE_IFREG) {
      TS_RETURN_IF_ERROR(CopyData(tar.get(), fresh, archive_entry_perm(entry) & 0777U));
      fs::rename(fresh, path, error);
    } else if (type == AE_IFLNK) {
      const char* target = archive_entry_symlink(entry);
      if (target == nullptr || !IsSafeLink(target)) return DataLoss("a checkpoint's archive holds a bad link");
      fs::remove(fresh, error);
      fs::create_symlink(target, fresh, error);
      if (!error) fs::rename(fresh, path, error);
    } else {
      return DataLoss("a checkpoint's archive holds neither files, folders nor links");
    }
    if (error) return ErrnoStatus(error.value(), "cannot write " + path.string());
  }
  if (more != ARCHIVE_EOF) return DataLoss("a checkpoint's archive is damaged");
  return unpacked;
}

}  // namespace tunesmith::worker
