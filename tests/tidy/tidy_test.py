#!/usr/bin/env python3
"""The rules of docs/architecture.md that a compiler does not see: who may include what, what may not be called, and the
shape of files.

    tidy_test.py ROOT           checks the tree; prints "file:line: what is wrong; what to do" for every violation
    tidy_test.py --self-test    plants violations in a temporary tree and demands that each is found
"""

import os
import re
import subprocess
import sys
import tempfile

# --- who may include what

# Folder -> project folders (and files) that it may include. The longest folder that a file lies in counts. Arrows never
# point back; server, worker and client never include each other.
MAY_INCLUDE = {
    "common": ["common"],
    "search": ["common", "search"],
    "schedulers": ["common", "search", "schedulers"],
    "spec": ["common", "search", "schedulers", "spec", "tunesmith/v1"],
    "server/core": ["common", "search", "schedulers", "spec", "server/core"],
    "server/journal": ["common", "search", "schedulers", "spec", "server/core", "server/journal"],
    "server/runtime": ["common", "search", "schedulers", "spec", "server/core", "server/journal", "server/runtime"],
    "server/rpc": ["common", "search", "schedulers", "spec", "server", "tunesmith/v1"],
    "server": ["common", "search", "schedulers", "spec", "server"],
    "worker/agent": ["common", "worker/agent"],
    "worker/sdk": ["worker/sdk"],
    "worker/trainer": ["common", "worker/trainer", "worker/sdk"],
    "worker/link": ["common", "spec", "worker/agent", "worker/checkpoints", "worker/link", "worker/process",
                    "tunesmith/v1"],
    "worker": ["common", "spec", "worker"],
    "client/api": ["common", "search", "schedulers", "spec", "client", "tunesmith/v1"],
    "client": ["common", "search", "schedulers", "spec", "client"],
}
PROJECT_FOLDERS = ("common", "search", "schedulers", "spec", "proto", "server", "worker", "client", "tests", "bench",
                   "examples", "python", "tunesmith")

# Pure algorithms: same input, same output, on every machine.
PURE = ("search", "schedulers", "server/core")

# Headers that a pure folder may not include: transport, storage, text formats, threads, clocks, files, randomness.
IMPURE_HEADERS = re.compile(
    r"^(grpc|google/protobuf|sqlite3|nlohmann|yaml-cpp|CLI/|torch|spdlog|fmt/|re2/"
    r"|(thread|mutex|shared_mutex|condition_variable|atomic|future|chrono|ctime|time\.h|random|regex|fstream|iostream"
    r"|filesystem|unistd\.h|pthread\.h)$)")

# (header, files that may include it, what to do instead). `only_cc`: never in a header, wherever it is.
ONLY_IN = [
    (r"^torch/", r"^(worker/trainer/|examples/|tests/unit/trainer/|bench/trainer_bench)",
     "LibTorch lives in worker/trainer alone"),
    (r"^sqlite3\.h$", r"^(server/journal/|bench/|tests/)", "use server/journal/journal.h"),
    (r"^spdlog/|^fmt/", r"^common/log\.cc$", "use common/log.h"),
    (r"^regex$", r"^$", "use RE2"),
    (r"^random$", r"^(server/(main\.cc|rpc/)|client/api/)",
     "use common/rng.h; only the edge may ask the system for a seed"),
]
NEVER_IN_HEADERS = re.compile(r"^(nlohmann/json\.hpp|CLI/|yaml-cpp/)")
RPC_HEADERS = re.compile(r"^(grpc|google/protobuf|tunesmith/v1/)")
RPC_NAMES = re.compile(r"\b(grpc|protobuf|google::protobuf)::|\btunesmith::v1::|(?<![\w:])v1::\w")
# Headers that may show gRPC and protobuf types.
RPC_FOLDERS = ("server/rpc", "worker/link", "client/api")

# --- what may not be called: (pattern, where, where not, what to do instead)
BANNED = [
    (r"(?<![\w.>])s?rand\s*\(", r"", r"^$", "rand() is not seeded; use common/rng.h"),
    (r"\bstd::(\w+_distribution|mt19937|default_random_engine|minstd_rand)", r"", r"^$",
     "the standard's distributions give other numbers on other libraries; use common/rng.h"),
    (r"\brandom_device\b", r"^(search|schedulers|server/core|tests/sim)/", r"^$", "seeds come in as arguments"),
    (r"\b(system_clock|steady_clock|high_resolution_clock|gettimeofday|clock_gettime)\b"
     r"|(?<![\w:.>])time\s*\(\s*(nullptr|NULL|0)",
     r"^(common|search|schedulers|server/core|worker/agent|tests/sim)/", r"^common/(log\.cc|mutex\.h)$",
     "time is an argument here"),
    # local_stack_test runs the real binaries and can only look again and again.
    (r"\b(sleep_for|sleep_until|usleep|nanosleep)\s*\(", r"^tests/(unit|conformance|sim|fuzz)/",
     r"^tests/unit/client/local_stack_test\.cc$", "a test waits for a latch or moves virtual time; it never sleeps"),
    # Tensors are detached too.
    (r"\.\s*detach\s*\(\s*\)", r"", r"^worker/trainer/", "every thread is owned and joined"),
    (r"\busing\s+namespace\s+std\b", r"", r"^$", "write std::"),
    (r"\babsl::Mutex\b", r"", r"^$", "the thread sanitizer cannot see it; use common/mutex.h"),
    (r"\bstd::(basic_)?regex\b", r"", r"^$", "use RE2"),
    # CLI11 and yaml-cpp are left by an exception of their own, which is caught in the same file.
    # The SDK's readers of parameters are for users' programs, which have no Status.
    (r"(?<!\w)throw\s+(?!CLI::)\w", r"",
     r"^(worker/trainer/|worker/sdk/config\.h$|tests/|examples/|bench/|spec/parse_document\.cc$)",
     "errors are values: common/status.h"),
]

LINE_MAX = 120
CPP = (".h", ".cc")
SHAPED = CPP + (".proto", ".py", ".cmake", "CMakeLists.txt")
SKIPPED = ("build", ".git", "shared", "third_party")


def strip(text):
    """The code without comments and strings, line for line."""
    out = []
    i, n = 0, len(text)
    while i < n:
        if text.startswith("//", i):
            end = text.find("\n", i)
            i = n if end < 0 else end
        elif text.startswith("/*", i):
            end = text.find("*/", i + 2)
            end = n if end < 0 else end + 2
            out.append("\n" * text.count("\n", i, end))
            i = end
        elif text.startswith('R"', i):
            mark = re.match(r'R"([^(\s]*)\(', text[i:])
            end = text.find(")" + mark.group(1) + '"', i) if mark else -1
            end = n if end < 0 else end + len(mark.group(1)) + 2
            out.append('""' + "\n" * text.count("\n", i, end))
            i = end
        elif text[i] == '"' or (text[i] == "'" and not (out and out[-1][-1:].isalnum())):
            quote, j = text[i], i + 1
            while j < n and text[j] not in (quote, "\n"):
                j += 2 if text[j] == "\\" else 1
            out.append(quote + quote)
            i = j + 1
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


def raw_string_lines(text):
    """Numbers of lines that lie in raw strings: what they hold is somebody else's format."""
    numbers = set()
    for match in re.finditer(r'R"([^(\s"]*)\(.*?\)\1"', text, re.S):
        first = text.count("\n", 0, match.start()) + 1
        numbers.update(range(first + 1, first + match.group(0).count("\n") + 1))
    return numbers


def inside(path, folder):
    return path == folder or path.startswith(folder + "/")


def layer_of(path):
    fitting = [f for f in MAY_INCLUDE if inside(path, f)]
    return max(fitting, key=len) if fitting else None


def may_show_rpc(path):
    return any(inside(path, f) or path == f + ".h" for f in RPC_FOLDERS)


def check_include(path, header, quoted):
    is_header = path.endswith(".h")
    layer = layer_of(path)
    if quoted and layer and header.split("/")[0] in PROJECT_FOLDERS:
        if not any(inside(header, f) for f in MAY_INCLUDE[layer]):
            yield f"{layer} may not include {header}; it may include {', '.join(MAY_INCLUDE[layer])}"
    # Headers of the SDK lie beside each other wherever they are installed or copied.
    if quoted and "/" not in header and layer != "worker/sdk":
        yield f'"{header}" must be included by its full path'
    for folder in PURE:
        if inside(path, folder) and IMPURE_HEADERS.search(header):
            yield f"{folder} is pure and may not include <{header}>"
    for pattern, where, instead in ONLY_IN:
        if re.search(pattern, header) and not re.search(where, path):
            yield f"<{header}> may not be included here; {instead}"
    if is_header and NEVER_IN_HEADERS.search(header):
        yield f"<{header}> is heavy: include it in a .cc file"
    if is_header and RPC_HEADERS.search(header) and not may_show_rpc(path) and layer:
        yield f"only headers of {', '.join(RPC_FOLDERS)} may include {header}"


def check_code(path, text):
    code = strip(text)
    lines = code.split("\n")
    for number, raw in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', raw)
        if match:
            for problem in check_include(path, match.group(2), match.group(1) == '"'):
                yield number, problem
    for number, line in enumerate(lines, 1):
        for pattern, where, where_not, instead in BANNED:
            match = re.search(pattern, line)
            if match and re.search(where, path) and not re.search(where_not, path):
                yield number, f"{match.group(0).strip()} is banned here; {instead}"
        if path.endswith(".h") and layer_of(path) and not may_show_rpc(path) and RPC_NAMES.search(line):
            yield number, f"a header outside {', '.join(RPC_FOLDERS)} may not name gRPC or protobuf types"
    if path.endswith(".h") and not re.search(r"^#pragma once$", text, re.M):
        yield 1, "#pragma once is missing"


def check_shape(path, text):
    # A string of a test may hold a tab on purpose.
    outside_strings = strip(text) if path.endswith(CPP) else text
    for number, line in enumerate(outside_strings.split("\n"), 1):
        if "\t" in line:
            yield number, "a tab; use spaces"
    raw = raw_string_lines(text) if path.endswith(CPP) else set()
    for number, line in enumerate(text.split("\n"), 1):
        if number in raw:
            continue
        if line.rstrip() != line:
            yield number, "spaces at the end of the line"
        if len(line) > LINE_MAX:
            yield number, f"{len(line)} characters in a line; at most {LINE_MAX}"
        if re.search(r"\b(TODO|FIXME|XXX)\b", line) and "TODO|" not in line:
            yield number, "unfinished: finish it or leave it out"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "the last line does not end"


def check_file(root, path):
    try:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
    except UnicodeDecodeError:
        yield 1, "not UTF-8"
        return
    yield from check_shape(path, text)
    if path.endswith(CPP):
        yield from check_code(path, text)


def list_files(root):
    """What git knows, or in an unpacked archive everything but build folders."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
    if git.returncode == 0:
        files = git.stdout.split("\n")
    else:
        files = []
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f not in SKIPPED]
            files += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(f for f in files if f.endswith(SHAPED) and f.split("/")[0] not in SKIPPED
                  and os.path.isfile(os.path.join(root, f)))


def check_tree(root):
    problems = []
    files = list_files(root)
    for path in files:
        problems += [f"{path}:{line}: {what}" for line, what in check_file(root, path)]
    return files, problems


# --- the test of the test: (file, content, what must be said; "" = nothing)
PLANTED = [
    ("search/a.h", '#pragma once\n#include "server/core/state.h"\n', "search may not include server/core/state.h"),
    ("search/b.cc", "#include <thread>\n", "search is pure"),
    ("schedulers/c.cc", "#include <nlohmann/json.hpp>\n", "schedulers is pure"),
    ("server/core/d.cc", "#include <grpcpp/grpcpp.h>\n", "server/core is pure"),
    ("server/core/e.cc", "auto t = std::chrono::system_clock::now();\n", "system_clock is banned here"),
    ("server/core/f.cc", "long t = time(nullptr);\n", "is banned here; time is an argument"),
    ("server/core/g.cc", '#include "server/journal/journal.h"\n', "server/core may not include server/journal"),
    ("server/journal/h.cc", '#include "server/runtime/loop.h"\n', "server/journal may not include server/runtime"),
    ("server/runtime/i.h", "#pragma once\n#include <grpcpp/server.h>\n", "only headers of server/rpc"),
    ("server/runtime/j.h", "#pragma once\nvoid F(const tunesmith::v1::Sweep& sweep);\n", "may not name gRPC"),
    ("server/main2.cc", '#include "worker/daemon.h"\n', "server may not include worker/daemon.h"),
    ("worker/k.cc", '#include "client/table.h"\n', "worker may not include client/table.h"),
    ("client/l.cc", '#include "server/core/state.h"\n', "client may not include server/core/state.h"),
    ("worker/agent/m.cc", '#include "worker/process/launcher.h"\n', "worker/agent may not include worker/process"),
    ("worker/sdk/n.h", '#pragma once\n#include "common/status.h"\n', "worker/sdk may not include common/status.h"),
    ("worker/process/o.cc", "#include <torch/torch.h>\n", "LibTorch lives in worker/trainer alone"),
    ("client/p.h", "#pragma once\n#include <nlohmann/json.hpp>\n", "include it in a .cc file"),
    ("client/q.h", "#pragma once\n#include <CLI/CLI.hpp>\n", "include it in a .cc file"),
    ("search/r.cc", "int x = rand();\n", "rand( is banned"),
    ("bench/s.cc", "std::uniform_real_distribution<double> d;\n", "std::uniform_real_distribution is banned"),
    ("tests/unit/t.cc", "std::this_thread::sleep_for(x);\n", "sleep_for( is banned"),
    ("worker/u.cc", "thread.detach();\n", ".detach() is banned"),
    ("common/v.h", "struct V {};\n", "#pragma once is missing"),
    ("common/w.cc", "\tint x = 0;\n", "a tab"),
    ("common/x.cc", "// " + "x" * 118 + "\n", "121 characters in a line"),
    ("common/y.cc", "int x = 0; \n", "spaces at the end"),
    ("common/z.cc", "// TO" + "DO: later\n", "unfinished"),
    ("common/aa.cc", "int x;", "the last line does not end"),
    ("client/ab.cc", '#include "table.h"\n', "must be included by its full path"),
    ("server/core/ac.cc", 'void F() { throw std::logic_error(""); }\n', "errors are values"),
    ("client/ad.cc", "std::regex r;\n", "use RE2"),
    ("client/ae.cc", "#include <spdlog/spdlog.h>\n", "use common/log.h"),
    # What must pass.
    ("search/ok1.cc", '#include "common/rng.h"\n#include "search/searcher.h"\n#include <vector>\n', ""),
    ("search/ok2.cc", "// rand() and std::normal_distribution are not used; system_clock neither\n", ""),
    ("server/core/ok3.cc", 'const char* text = "system_clock::now() rand() \\" .detach()";\n', ""),
    ("server/rpc/ok4.h", '#pragma once\n#include "tunesmith/v1/sweep.pb.h"\ngrpc::Status F(const v1::Sweep& s);\n', ""),
    ("server/rpc/ok5.cc", "#include <nlohmann/json.hpp>\n", ""),
    ("worker/trainer/ok6.cc", "#include <torch/torch.h>\n", ""),
    ("common/ok7.cc", "// " + "ö" * 117 + "\n", ""),
    ("common/ok8.cc", 'const char* k = R"sql(\n  rand() "x"\n)sql";\nint operand(int x);\nint y = operand(1\'000);\n',
     ""),
    ("tests/unit/ok10.cc", 'const char* k = R"(\n\tx: 1 \n' + "x" * 130 + '\n)";\n', ""),
    ("worker/sdk/ok11.h", '#pragma once\n#include "trial.h"\n', ""),
    ("server/options2.cc", 'void F() { throw CLI::ValidationError("--port", "is not a number"); }\n', ""),
    ("search/ok9.cc", "int Time(int x); int lifetime(int x); int z = lifetime(0) + x.time(0);\n", ""),
]


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as root:
        for path, content, _ in PLANTED:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(content)
        files, problems = check_tree(root)
        if len(files) != len(PLANTED):
            failures.append(f"{len(PLANTED)} files were planted, {len(files)} were looked at")
        for path, _, expected in PLANTED:
            said = [p for p in problems if p.startswith(path + ":")]
            if expected and not any(expected in p for p in said):
                failures.append(f"{path}: nothing says '{expected}', only {said}")
            if expected == "" and said:
                failures.append(f"{path}: must pass, but {said}")
            if len(said) > 1:
                failures.append(f"{path}: one mistake, {len(said)} complaints: {said}")
    for failure in failures:
        print(failure)
    print(f"{len(PLANTED)} planted files, {len(failures)} failures")
    return 1 if failures else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 1 or not os.path.isdir(arguments[0]):
        print(__doc__)
        return 2
    files, problems = check_tree(arguments[0])
    for problem in problems:
        print(problem)
    if len(files) < 50:
        problems.append("too few files")
        print(f"only {len(files)} files found under {arguments[0]}: is it the project's root?")
    print(f"{len(files)} files, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
