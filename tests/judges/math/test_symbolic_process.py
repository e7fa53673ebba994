"""The process of mathematical comparisons ends with the one that asks, however that ends."""

import subprocess
import sys


def test_it_ends_where_nobody_reads_its_answers() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "cgpo.judges.math.symbolic_process", "2048", "7"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b'"ready"\n'
        process.stdout.close()
        # A question that is under way when the other end is gone.
        process.stdin.write(b'[1, "1/2", "0.5", null]\n')
        process.stdin.flush()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
