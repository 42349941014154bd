"""gpu_bench from outside: options, exit statuses, and data that are wrong on purpose.

The environment variable GPU_BENCH names the program.
"""

import copy
import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

from json_schema import errors

PROGRAM = os.environ["GPU_BENCH"]
BENCH = pathlib.Path(__file__).resolve().parent.parent
DATA = BENCH / "data"
OK, CHECK_FAILED, BAD_USAGE, SLOWER = 0, 1, 2, 3


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=240)


def run_short(*arguments):
    """Two workloads, one of them quick to run, one that a quick run leaves out."""
    return run("--quick", "--min-time", "0.01", "--device", "cpu", "--filter",
               "^(real/fastestdet/default|iou/assign-rpn)$", *arguments)


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
        result = run("--quick", "--device", "cpu", "--filter", "^nms/clustered-0.5/4096$")
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

        self.expect(run("--dtype", "float31"), BAD_USAGE, "float31")
        self.expect(run("--repeat", "0"), BAD_USAGE, "--repeat")
        self.expect(run("--dtype", "float16", "--filter", "^real/"), BAD_USAGE,
                    "no workload of type float16")

    def test_json(self):
        """What --json writes is what schema.json describes, and the check of that can fail."""
        schema = json.loads((BENCH / "schema.json").read_text())
        path = self.data / "results.json"
        self.expect(run_short("--repeat", "2", "--json", str(path)), OK, "1 timed, 1 skipped")
        results = json.loads(path.read_text())
        self.assertEqual(errors(results, schema), [])
        skipped, timed = sorted(results["results"], key=lambda row: row["name"])
        self.assertEqual((timed["outcome"], skipped["outcome"]), ("timed", "skipped"))
        self.assertEqual(skipped["note"], "not part of --quick")
        self.assertIsNone(skipped["times"]["warm"])
        self.assertGreaterEqual(timed["times"]["warm"]["samples"], 10)
        self.assertGreater(results["limits"]["bytes_per_second"], 1e6)
        self.assertGreater(results["limits"]["operations_per_second"], 1e6)

        for alter in (lambda r: r.pop("limits"), lambda r: r.update(schema_version=2),
                      lambda r: r["results"][0].update(outcome="maybe"),
                      lambda r: r["results"][1].update(kept=-1),
                      lambda r: r["results"][1]["times"]["warm"].update(median_seconds=0),
                      lambda r: r["build"].update(date="today")):
            altered = copy.deepcopy(results)
            alter(altered)
            self.assertEqual(len(errors(altered, schema)), 1)

    def test_plot(self):
        """The page shows every workload, in drawings that are well-formed, and those left out."""
        path = self.data / "results.json"
        self.expect(run("--quick", "--min-time", "0.001", "--device", "cpu", "--filter",
                        "^(nms/clustered-0.5/|iou/assign-rpn$)", "--json", str(path)), OK)
        plot = [sys.executable, str(BENCH.parent / "scripts" / "plot_bench"), str(path)]
        subprocess.run(plot, check=True, capture_output=True)
        page = path.with_suffix(".html").read_text()
        drawings = [xml.etree.ElementTree.fromstring(text)
                    for text in re.findall("<svg.*?</svg>", page)]
        self.assertEqual(len(drawings), 3)  # legend, bars, curves over N
        words = ["".join(drawing.itertext()) for drawing in drawings]
        for row in json.loads(path.read_text())["results"]:
            self.assertIn(row["name"], words[1] if row["outcome"] == "timed" else page)
        self.assertIn("N of nms/clustered-0.5/N", words[2])
        path.write_text('{"schema_version": 99}')
        refused = subprocess.run(plot, capture_output=True, text=True)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("schema version 99", refused.stderr)

    def test_profile(self):
        """Runs and checks, and times nothing."""
        path = self.data / "results.json"
        self.expect(run_short("--profile", "--json", str(path)), OK, "1 run, 1 skipped, 0 failed")
        results = json.loads(path.read_text())["results"]
        self.assertEqual(errors(json.loads(path.read_text()),
                                json.loads((BENCH / "schema.json").read_text())), [])
        self.assertEqual({row["outcome"] for row in results}, {"checked", "skipped"})
        self.assertTrue(all(row["times"]["warm"] is None for row in results))

    def test_other_formats(self):
        """CSV to the standard output, which is then nothing else, and Markdown to a file."""
        path = self.data / "results.md"
        result = run_short("--explain", "--csv", "-", "--markdown", str(path))
        self.expect(result, OK, "median known to", "1 timed")
        rows = list(csv.DictReader(result.stdout.splitlines()))
        self.assertEqual([row["outcome"] for row in rows], ["skipped", "timed"])
        self.assertEqual(rows[1]["shape"], "1 x 484, 80 classes")
        self.assertGreater(float(rows[1]["warm_seconds"]), 0.0)
        self.assertEqual(rows[0]["warm_seconds"], "")
        lines = path.read_text().splitlines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(len({line.count("|") for line in lines}), 1)
        self.expect(run_short("--json", str(self.data / "none" / "x.json")), CHECK_FAILED,
                    "cannot be written")

    def test_compare(self):
        """A planted slowdown is found: the earlier times are made a tenth of what they were."""
        path = self.data / "before.json"
        self.expect(run_short("--json", str(path)), OK)
        before = json.loads(path.read_text())
        warm = [row for row in before["results"] if row["times"]["warm"]][0]["times"]["warm"]
        measured = warm["median_seconds"]

        warm["median_seconds"] = measured / 10
        path.write_text(json.dumps(before))
        self.expect(run_short("--compare", str(path)), SLOWER, "SLOWER",
                    "1 compared, 1 slower, 0 faster")
        self.expect(run_short("--compare", str(path), "--tolerance", "1000000"), OK,
                    "1 compared, 0 slower")
        warm["median_seconds"] = measured * 10
        path.write_text(json.dumps(before))
        self.expect(run_short("--compare", str(path)), OK, "1 compared, 0 slower, 1 faster")

    def test_compare_with_what_it_cannot_read(self):
        path = self.data / "before.json"
        self.expect(run_short("--compare", str(path)), BAD_USAGE, "cannot be opened")
        path.write_text("{")
        self.expect(run_short("--compare", str(path)), BAD_USAGE, "before.json")
        path.write_text('{"schema_version": 99}')
        self.expect(run_short("--compare", str(path)), BAD_USAGE, "schema version 99")

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
