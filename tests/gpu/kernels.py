#!/usr/bin/env python3
"""Adds up what `ncu --csv --metrics gpu__time_duration.sum` printed: microseconds, calls and name of each kernel, the longest first.

    python3 kernels.py FILE
"""
import collections
import csv
import sys

UNIT = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}


def main():
    with open(sys.argv[1]) as lines:
        rows = [row for row in csv.reader(lines) if "Kernel Name" in row or len(row) > 10]
    if not rows:
        sys.exit(f"{sys.argv[1]}: no kernels; what ncu said stands in it")
    name, value, unit = (rows[0].index(column) for column in ("Kernel Name", "Metric Value", "Metric Unit"))
    time, calls = collections.Counter(), collections.Counter()
    for row in rows[1:]:
        kernel = row[name].split("(")[0]
        time[kernel] += float(row[value].replace(",", "")) * UNIT[row[unit]]
        calls[kernel] += 1
    print(f"{sum(time.values()):9.0f} us in {sum(calls.values())} kernels")
    for kernel, microseconds in time.most_common(20):
        print(f"{microseconds:9.0f} {calls[kernel]:4d} {kernel}")


if __name__ == "__main__":
    main()
