"""Says in a few lines what ran, on what, and what did not and why, from CTest's JUnit report:
summarize_tests.py BUILD_DIR REPORT. Exits with 1 where a test failed or none passed."""

import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree

# What the names of the tests begin with, and what that stands for, in the order of the summary.
KINDS = {
    "host": "tests on the host",
    "emulated": "tests of kernels on the emulated device",
    "emulation": "tests of the emulated device itself",
    "cuda": "tests of kernels on a GPU",
    "bench": "tests of gpu_bench",
    "example": "examples",
    "package": "tests of the package",
    "resources": "tests of the kernels' registers and spills",
}


def kind_of(case):
    return re.match(r"[A-Za-z]*", case.get("name")).group()


def reason_of(case):
    """The last line that a skipped test printed."""
    lines = (case.findtext("system-out") or "").strip().splitlines()
    return lines[-1] if lines else "no reason given"


def count_of(case):
    """A row of CTest may be a whole GoogleTest program."""
    match = re.search(r"Running (\d+) tests? from", case.findtext("system-out") or "")
    return int(match.group(1)) if match else 1


def tests_in(program):
    listing = subprocess.run([program, "--gtest_list_tests"], capture_output=True, text=True)
    return len(re.findall(r"^  \S", listing.stdout, re.MULTILINE))


def main():
    build_dir, report = map(pathlib.Path, sys.argv[1:3])
    if not report.exists():
        print("No tests ran.")
        return 1
    cases = list(xml.etree.ElementTree.parse(report).getroot().iter("testcase"))
    kinds = {kind_of(case) for case in cases}
    failed_in_all = passed_in_all = 0
    print("\nSummary")
    for kind in list(KINDS) + sorted(kinds - KINDS.keys()):
        title = KINDS.get(kind, kind)
        rows = [case for case in cases if kind_of(case) == kind]
        passed = sum(count_of(case) for case in rows if case.get("status") == "run")
        failed = sum(case.get("status") == "fail" for case in rows)
        waiting = [case for case in rows if case.get("status") not in ("run", "fail")]
        passed_in_all += passed
        failed_in_all += failed
        if passed or failed:
            print(f"  {passed:5d} passed{f', {failed} FAILED' if failed else ''}: {title}")
        if waiting:
            is_program = kind == "cuda"
            count = tests_in(build_dir / "tests/cudet_tests_cuda") if is_program else len(waiting)
            print(f"  {count:5d} not run: {title}. {reason_of(waiting[0])}")
        if kind == "cuda" and not rows:
            print(f"      0: {title}, for this build has no CUDA")
    return 1 if failed_in_all or not passed_in_all else 0


if __name__ == "__main__":
    sys.exit(main())
