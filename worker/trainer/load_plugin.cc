#include "worker/trainer/load_plugin.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace tunesmith::trainer {
namespace {

constexpr char kHowToBuild[] =
    "build it with CMake's add_library(NAME MODULE ...) and Tunesmith::sdk, as docs/cpp-sdk.md shows";

const PluginStamp& OwnStamp() {
  static constexpr PluginStamp kStamp = internal::StampOf(nullptr);
  return kStamp;
}

// Whether all that the system's loader maps of the file is there. It maps what the headers promise: of a file that was
// cut, while it was copied for instance, the process would die of SIGBUS.
bool IsWhole(std::ifstream& file, const ElfW(Ehdr) & header, uint64_t file_bytes) {
  if (header.e_phentsize != sizeof(ElfW(Phdr))) return false;
  file.clear();
  file.seekg(static_cast<std::streamoff>(header.e_phoff));
  for (int i = 0; i < header.e_phnum; ++i) {
    ElfW(Phdr) part = {};
    file.read(reinterpret_cast<char*>(&part), sizeof part);
    if (!file) return false;
    if (part.p_type != PT_LOAD) continue;
    if (part.p_offset > file_bytes || part.p_filesz > file_bytes - part.p_offset) return false;
  }
  return true;
}

// What the system's loader would say in words of its own, or not survive.
Status CheckFile(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    std::string from;
    if (!path.starts_with('/')) from = ", seen from " + std::filesystem::current_path(error).string();
    return NotFound("there is no plug-in " + path + from + "; give the path of the shared object that you have built");
  }
  if (!std::filesystem::is_regular_file(status)) {
    return InvalidArgument("the plug-in " + path + " is not a file; give the path of the shared object in it");
  }
  ElfW(Ehdr) header = {};
  std::ifstream file(path, std::ios::binary);
  if (!file) return InvalidArgument("the plug-in " + path + " cannot be read; check its permissions");
  file.read(reinterpret_cast<char*>(&header), sizeof header);
  if (file.gcount() < SELFMAG || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return InvalidArgument("the plug-in " + path + " is not a shared object; " + kHowToBuild);
  }
  const int own_class = sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32;
  if (file.gcount() == sizeof header && header.e_ident[EI_CLASS] != own_class) return OkStatus();  // dlopen() says it
  if (file.gcount() == sizeof header && header.e_type == ET_REL) {
    return InvalidArgument("the plug-in " + path + " is an object file that is not linked yet; " + kHowToBuild);
  }
  const uint64_t file_bytes = std::filesystem::file_size(path, error);
  if (error || file.gcount() < static_cast<std::streamsize>(sizeof header) || !IsWhole(file, header, file_bytes)) {
    return InvalidArgument("the plug-in " + path + " is cut: its end is missing; build or copy it again");
  }
  return OkStatus();
}

std::string StandardLibrary(const PluginStamp& stamp) {
  std::string text(stamp.standard_library, strnlen(stamp.standard_library, sizeof stamp.standard_library));
  if (text == "libstdc++") text += " with _GLIBCXX_USE_CXX11_ABI=" + std::to_string(stamp.string_abi);
  return text;
}

Status CheckStamp(const PluginStamp& stamp, const std::string& path) {
  const PluginStamp& own = OwnStamp();
  if (std::memcmp(stamp.mark, own.mark, sizeof own.mark) != 0) {
    return InvalidArgument("the plug-in " + path + " has something else under the name " + kPluginEntry +
                           "; only TUNESMITH_PLUGIN(Train) of <tunesmith/plugin.h> may define it");
  }
  if (stamp.interface_version != own.interface_version) {
    return FailedPrecondition("the plug-in " + path + " was built for version " +
                              std::to_string(stamp.interface_version) + " of the plug-in interface, and this " +
                              "tunesmith-trainer has version " + std::to_string(own.interface_version) +
                              "; build it anew with the <tunesmith/plugin.h> of this installation");
  }
  if (StandardLibrary(stamp) != StandardLibrary(own)) {
    return FailedPrecondition("the plug-in " + path + " was built for another ABI: " + StandardLibrary(stamp) +
                              " (compiler " + stamp.compiler + "), and this tunesmith-trainer for " +
                              StandardLibrary(own) + " (compiler " + own.compiler + "); build both with the same, or " +
                              "run the plug-in's code as a program of its own (trial.h)");
  }
  if (stamp.train == nullptr) return InvalidArgument("the plug-in " + path + " has no function to train with");
  return OkStatus();
}

const char* loading_path = "";

[[noreturn]] void SayWhatWasThrown() {
  const char* what = "something that is no std::exception";
  const std::exception_ptr thrown = std::current_exception();
  if (thrown == nullptr) std::abort();  // terminate() was called without one
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {
  }
  std::fprintf(stderr,
               "tunesmith-trainer: the plug-in %s has thrown while its static objects were made: %s; make them in the "
               "function that trains\n",
               loading_path, what);
  std::_Exit(kExitPluginRefused);
}

}  // namespace

StatusOr<const PluginStamp*> LoadPlugin(const std::string& path) {
  TS_RETURN_IF_ERROR(CheckFile(path));
  // A bare name would be looked for among the system's libraries.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  loading_path = path.c_str();
  const std::terminate_handler handler_before = std::set_terminate(SayWhatWasThrown);
  // All symbols now: what is missing is told here, not in the midst of training.
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  std::set_terminate(handler_before);
  if (library == nullptr) {
    const char* reason = dlerror();
    if (reason != nullptr && std::strstr(reason, "cannot dynamically load") != nullptr) {
      return InvalidArgument("the plug-in " + path + " is a program; start it as a sweep's command, or " +
                             kHowToBuild);
    }
    return FailedPrecondition("the plug-in " + path + " cannot be loaded: " + (reason != nullptr ? reason : "?") +
                              "; a library that it needs must be found (see ldd), or it was built against another one");
  }
  const void* entry = dlsym(library, kPluginEntry);
  if (entry == nullptr) {
    return InvalidArgument("the shared object " + path + " is no plug-in: it has no symbol " + kPluginEntry +
                           "; put TUNESMITH_PLUGIN(Train) of <tunesmith/plugin.h> into one of its source files");
  }
  const auto* stamp = static_cast<const PluginStamp*>(entry);
  TS_RETURN_IF_ERROR(CheckStamp(*stamp, path));
  return stamp;
}

}  // namespace tunesmith::trainer
