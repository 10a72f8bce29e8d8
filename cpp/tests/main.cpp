// Runs the tests of one program.
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"

namespace pgcore::testing {
namespace {

struct Test {
  const char* name;
  void (*run)();
};
std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}
std::vector<std::string> cases;
int checks = 0, failures = 0;
constexpr int most_printed = 20;

}  // namespace

bool add(const char* name, void (*run)()) {
  tests().push_back({name, run});
  return true;
}

void report(bool ok, const char* what, const std::string& values, const char* file, int line) {
  ++checks;
  if (ok || ++failures > most_printed) return;
  std::printf("%s:%d: failed: %s\n", file, line, what);
  if (!values.empty()) std::printf("  with %s\n", values.c_str());
  for (const std::string& text : cases) std::printf("  in%s\n", text.c_str());
}

void Case::push(std::string text) {
  cases.push_back(std::move(text));
}
Case::~Case() {
  cases.pop_back();
}

}  // namespace pgcore::testing

// A test that checks nothing has failed, and so has a program that runs none.
int main(int argc, char** argv) {
  using namespace pgcore::testing;
  int run = 0, failed = 0;
  for (const Test& test : tests()) {
    if (argc > 1 && !std::strstr(test.name, argv[1])) continue;
    checks = failures = 0;
    test.run();
    const bool ok = failures == 0 && checks > 0;
    std::printf("%-6s %s: %d checks, %d failed\n", ok ? "ok" : "FAILED", test.name, checks, failures);
    ++run;
    failed += !ok;
  }
  std::printf("%d tests, %d failed\n", run, failed);
  return run > 0 && failed == 0 ? 0 : 1;
}
