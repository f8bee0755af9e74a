# Helpers shared by every folder. A library `x` gets the alias tunesmith::x; sources are listed, never globbed.

# tunesmith_library(name SOURCES a.cc b.cc [DEPS t1 t2] [PRIVATE_DEPS t3] [DETERMINISTIC])
# DETERMINISTIC: no fused multiply-add, so that the same seed gives the same decisions on every machine.
function(tunesmith_library name)
  cmake_parse_arguments(ARG "DETERMINISTIC" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(tunesmith_${name} STATIC ${ARG_SOURCES})
  add_library(tunesmith::${name} ALIAS tunesmith_${name})
  target_include_directories(tunesmith_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(tunesmith_${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  tunesmith_warnings(tunesmith_${name})
  if(ARG_DETERMINISTIC)
    target_compile_options(tunesmith_${name} PRIVATE -ffp-contract=off)
  endif()
endfunction()

# tunesmith_program(name SOURCES ... DEPS ...): an executable build/bin/<name>.
function(tunesmith_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  tunesmith_warnings(${name})
endfunction()

# tunesmith_test(name SOURCES ... DEPS ... [LABELS unit]): one GoogleTest program, tests discovered when ctest runs.
function(tunesmith_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest GTest::gtest_main)
  tunesmith_warnings(${name})
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()

function(tunesmith_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wno-unused-parameter
    -Wno-restrict)  # false alarms on string concatenation at -O2 (GCC bug 105651)
endfunction()
