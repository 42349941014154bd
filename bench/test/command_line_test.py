"""gpu_bench from outside: options, exit statuses, and data that are wrong on purpose.

The environment variable GPU_BENCH names the program.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["GPU_BENCH"]
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
OK, CHECK_FAILED, BAD_USAGE = 0, 1, 2


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=240)


def run_real(data, name):
    return run("--quick", "--device", "cpu", "--data", str(data), "--filter", f"^real/{name}$")


class CommandLine(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.data = pathlib.Path(temporary.name) / "data"
        shutil.copytree(DATA, self.data)

    def expect(self, result, status, *texts):
        output = result.stdout + result.stderr
        self.assertEqual(result.returncode, status, output)
        for text in texts:
            self.assertIn(text, output)

    def expect_failed_row(self, result, *texts):
        """The row says what is wrong and holds no time."""
        self.expect(result, CHECK_FAILED, "0 timed, 0 skipped, 1 failed", *texts)
        row = [line for line in result.stdout.splitlines() if line.startswith("real/")]
        self.assertEqual(len(row), 1)
        self.assertNotRegex(row[0], r"\d [num]?s ")

    def test_list(self):
        result = run("--list")
        self.expect(result, OK, "nms/yolo", "iou/square")
        names = [line.split()[0] for line in result.stdout.splitlines()]
        self.assertEqual(len(names), len(set(names)))
        index = json.loads((DATA / "index.json").read_text())
        for workload in index["workloads"]:
            self.assertIn("real/" + workload["name"], names)

    def test_version(self):
        self.expect(run("--version"), OK, "gpu_bench ")

    def test_made_up(self):
        """Header, one checked row, legend; CPU figures are called that."""
        result = run("--quick", "--device", "cpu", "--filter", "^nms/clustered-0.5$")
        self.expect(result, OK, "device    CPU (--device cpu)", "no GPU figures", "= reference",
                    "1 timed, 0 skipped, 0 failed")
        self.assertEqual(result.stderr, "")

    def test_bad_filter(self):
        self.expect(run("--filter", "no-such-name"), BAD_USAGE, "matches no workload")
        self.expect(run("--filter", "("), BAD_USAGE, "is no regular expression")

    def test_bad_option(self):
        self.expect(run("--no-such-option"), BAD_USAGE, "--no-such-option")
        self.expect(run("--device", "abacus"), BAD_USAGE, "abacus")
        self.expect(run("--min-time", "0"), BAD_USAGE, "--min-time")

    def test_missing_directory(self):
        self.expect(run("--list", "--data", str(self.data / "nowhere")), BAD_USAGE, "nowhere")

    def test_altered_byte(self):
        """The lowest bit of one expected index is turned over."""
        path = self.data / "retina_slim" / "keep_default.npy"
        content = bytearray(path.read_bytes())
        content[-4] ^= 1
        path.write_bytes(content)
        self.expect_failed_row(run_real(self.data, "retina_slim/default"), "!= official (495)",
                               "position 494")
        self.expect(run_real(self.data, "retina_slim/vis"), OK, "= official (47)")

    def test_altered_option(self):
        """Without the +1 of the width this detector keeps other boxes."""
        path = self.data / "index.json"
        index = json.loads(path.read_text())
        for workload in index["workloads"]:
            workload.pop("legacy_offset", None)
        path.write_text(json.dumps(index))
        self.expect_failed_row(run_real(self.data, "retina_slim/default"), "!= official (495)")

    def test_cut_file(self):
        path = self.data / "yunet" / "boxes.npy"
        path.write_bytes(path.read_bytes()[:-1])
        self.expect_failed_row(run_real(self.data, "yunet/default"), "FAILED", "boxes.npy")

    def test_missing_file(self):
        (self.data / "yunet" / "scores.npy").unlink()
        self.expect_failed_row(run_real(self.data, "yunet/default"), "FAILED", "scores.npy")


if __name__ == "__main__":
    unittest.main()
